"""Bayesian networks: log p of 5,000 rows of a network of 37 columns, complete and with 30 % of cells missing.

The network is drawn at random: three or four levels a column, up to three parents among the six columns before. Rivals,
where installed: pomegranate's BayesianNetwork with the same tables, and pgmpy's, whose log-probability goes row by row. They
get a part of the rows and their time is scaled to all. Posteriors of one column given the others: pgmpy's variable
elimination on a few rows.
"""

from race import race, report  # first: it limits the threads

import numpy as np
import pandas as pd

from skgen import BayesianNetwork

N, D = 5_000, 37
POMEGRANATE, PGMPY, ASKED = 500, 200, 20  # the rivals' rows


def draw_network() -> dict:
    rng = np.random.default_rng(0)
    nodes = [f"x{i}" for i in range(D)]
    levels = rng.integers(3, 5, D)
    parents = {
        n: [nodes[j] for j in sorted(rng.choice(i, min(i, rng.integers(1, 4)), replace=False))]
        if i < 6
        else [nodes[j] for j in sorted(rng.choice(np.arange(i - 6, i), rng.integers(1, 4), replace=False))]
        for i, n in enumerate(nodes)
    }
    tables = {}
    for i, n in enumerate(nodes):
        shape = [levels[nodes.index(p)] for p in parents[n]]
        tables[n] = rng.dirichlet(np.full(levels[i], 0.5), shape or None)
    return {
        "states": {n: list(range(k)) for n, k in zip(nodes, levels.tolist(), strict=True)},
        "parents": parents,
        "tables": tables,
    }


def pomegranate_rival(network: dict, codes: np.ndarray):
    import torch
    from pomegranate.bayesian_network import BayesianNetwork as Theirs
    from pomegranate.distributions import Categorical, ConditionalCategorical

    torch.set_num_threads(1)
    nodes = list(network["states"])
    made = {}
    for n in nodes:
        table = np.asarray(network["tables"][n], dtype=np.float32)
        made[n] = ConditionalCategorical([table]) if network["parents"][n] else Categorical([table])
    edges = [(made[p], made[n]) for n in nodes for p in network["parents"][n]]
    model = Theirs([made[n] for n in nodes], edges)
    rows = torch.from_numpy(codes[:POMEGRANATE].astype(np.int32))
    return lambda: model.log_probability(rows).numpy()


def pgmpy_rival(network: dict, rows: pd.DataFrame):
    from pgmpy.factors.discrete import TabularCPD
    from pgmpy.inference import VariableElimination
    from pgmpy.models import DiscreteBayesianNetwork

    theirs = DiscreteBayesianNetwork([(p, n) for n, above in network["parents"].items() for p in above])
    states = network["states"]
    for n, above in network["parents"].items():
        cells = np.asarray(network["tables"][n]).reshape(-1, len(states[n])).T
        names = {m: states[m] for m in (n, *above)}
        theirs.add_cpds(TabularCPD(n, len(states[n]), cells, above or None, [len(states[p]) for p in above] or None, names))
    few = rows.iloc[:PGMPY].astype(int).to_dict("records")
    engine = VariableElimination(theirs)

    def log_prob() -> np.ndarray:
        with np.errstate(divide="ignore"):
            return np.log([theirs.get_state_probability(row) for row in few])

    def posterior() -> np.ndarray:
        out = []
        for row in rows.iloc[:ASKED].to_dict("records"):
            evidence = {name: int(value) for name, value in row.items() if not pd.isna(value) and name != "x18"}
            out.append(engine.query(["x18"], evidence, show_progress=False).values)
        return np.array(out)

    return log_prob, posterior


def main() -> None:
    network = draw_network()
    model = BayesianNetwork.from_dict(network, random_state=0)
    rows = model.sample(N)
    codes = np.column_stack([rows[c].cat.codes for c in rows])
    gaps = np.random.default_rng(1).random(codes.shape) < 0.3
    question = rows.mask(gaps)
    fitted = BayesianNetwork(
        graph={i: [list(network["states"]).index(p) for p in above] for i, above in enumerate(network["parents"].values())},
        column_kinds="categorical",
    ).fit(codes)
    asked = {
        "skgen bayes_net, array": lambda: fitted.score_samples(codes),
        "skgen bayes_net, data frame": lambda: model.score_samples(rows),
    }
    share = {}
    try:
        asked["pomegranate"], share["pomegranate"] = pomegranate_rival(network, codes), POMEGRANATE / N
    except ImportError:
        print("pomegranate is not installed: its row is left out")
    their_posterior = None
    try:
        asked["pgmpy"], their_posterior = pgmpy_rival(network, rows)
        share["pgmpy"] = PGMPY / N
    except ImportError:
        print("pgmpy is not installed: its rows are left out")
    raced = race(asked, rounds=3)
    raced = {name: (seconds / share.get(name, 1.0), result) for name, (seconds, result) in raced.items()}
    truth = model.score_samples(rows)
    report(
        f"log p of {N} complete rows x {D} columns",
        raced,
        lambda name, log_p: (
            f"mean {log_p.mean():.4f}, off the tables by {np.abs(log_p - truth[: len(log_p)]).max():.1e}"
            if "array" not in name
            else f"mean {log_p.mean():.4f} (tables fitted)"
        ),
    )
    missing = {
        "skgen log p, 30 % missing": lambda: model.score_samples(question),
        "skgen posteriors of all columns": lambda: model.marginals(question),
        "skgen one draw of the missing cells": lambda: model.sample_conditional(question),
        "skgen hill_climb fit": lambda: BayesianNetwork(graph="hill_climb").fit(rows),
    }
    print(f"the same rows with {gaps.mean():.0%} of cells missing")
    for name, (seconds, _) in race(missing, rounds=3).items():
        print(f"   {name:44s} {seconds * 1e3:10.2f} ms   {N / seconds:12.0f} rows/s")
    if their_posterior is not None:
        other = question.assign(x18=None)
        ours = lambda: model.marginals(other)["x18"].to_numpy()  # noqa: E731
        both = race({"skgen posterior": ours, "pgmpy posterior": their_posterior}, rounds=1)
        both = {name: (s / (ASKED / N if "pgmpy" in name else 1), r) for name, (s, r) in both.items()}
        report("P(x18 | 70 % of the other cells), 5,000 rows", both)


if __name__ == "__main__":
    main()
