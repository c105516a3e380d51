"""Networks whose truth is known: log p against the given one, tables fitted on samples, and graphs found.

`python benchmarks/published_networks.py --data DIR`, DIR holding bayesnets/bayesnets.json.gz and bayesnets/bn_samples.npz
(the bnlearn repository's networks; 5,000 rows to fit on, 5,000 to test on, with their log-probability under the truth).
Prints, in nats a row, how far below the truth each fit is on the test rows: an estimate of its KL divergence.
"""

import race  # noqa: F401  first: it limits the threads

import argparse
import gzip
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from skgen import BayesianNetwork, ChowLiuTree


def load(folder: Path) -> tuple[dict, Any]:
    with gzip.open(folder / "bayesnets.json.gz", "rt") as file:
        return json.load(file), np.load(folder / "bn_samples.npz")


def frame(network: dict, codes: np.ndarray) -> pd.DataFrame:
    nodes = network["nodes"]
    return pd.DataFrame({n: pd.Categorical.from_codes(codes[:, i], network["states"][n]) for i, n in enumerate(nodes)})


def truth(network: dict) -> BayesianNetwork:
    return BayesianNetwork.from_dict({**network, "tables": network["cpt"]}, random_state=0)


def queries(model: BayesianNetwork, network: dict, rows: pd.DataFrame, n: int, seed: int = 0) -> list[tuple[str, dict]]:
    """A node and evidence on one to three others, as some row holds them."""
    rng = np.random.default_rng(seed)
    out = []
    for _ in range(n):
        row = rows.iloc[int(rng.integers(len(rows)))]
        asked, *others = rng.permutation(network["nodes"])[: 1 + int(rng.integers(1, 4))].tolist()
        out.append((asked, {node: row[node] for node in others}))
    return out


def against_pgmpy(network: dict, rows: pd.DataFrame) -> float | None:
    """Largest difference of P(node | evidence) over 100 random queries, None without pgmpy."""
    try:
        from pgmpy.factors.discrete import TabularCPD
        from pgmpy.inference import VariableElimination
        from pgmpy.models import DiscreteBayesianNetwork
    except ImportError:
        return None
    theirs = DiscreteBayesianNetwork([(p, n) for n, above in network["parents"].items() for p in above])
    theirs.add_nodes_from(network["nodes"])
    states = network["states"]
    for n in network["nodes"]:
        above, cells = network["parents"][n], np.array(network["cpt"][n])
        cells = (cells / cells.sum(axis=1, keepdims=True)).T
        sizes = [len(states[p]) for p in above]
        names = {m: states[m] for m in (n, *above)}
        theirs.add_cpds(TabularCPD(n, len(states[n]), cells, above or None, sizes or None, state_names=names))
    engine, model, worst = VariableElimination(theirs), truth(network), 0.0
    for node, evidence in queries(model, network, rows, 100):
        ours = model.marginals(evidence)[node]
        found = engine.query([node], evidence, show_progress=False)
        their = [found.get_value(**{node: state}) for state in states[node]]
        worst = max(worst, float(np.abs(ours.to_numpy() - their).max()))
    return worst


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    networks, samples = load(parser.parse_args().data / "bayesnets")
    print("network   columns  |log p - given|  |P - pgmpy|   true graph   chow_liu  hill_climb (seconds, arrows)  bdeu")
    for name in ("asia", "sachs", "child", "alarm", "hepar2"):
        network = networks[name]
        train, test = (frame(network, samples[f"{name}_{part}"]) for part in ("train", "test"))
        given = samples[f"{name}_test_logp"]
        error = np.abs(truth(network).score_samples(test) - given).max()
        gap = against_pgmpy(network, test) if name != "hepar2" else None
        begin = time.process_time()
        found = BayesianNetwork(graph="hill_climb").fit(train)
        seconds = time.process_time() - begin
        fits = {
            "true": BayesianNetwork(graph=network["parents"]).fit(train),
            "tree": ChowLiuTree().fit(train),
            "hill": found,
            "bdeu": BayesianNetwork(graph="hill_climb", criterion="bdeu").fit(train),
        }
        below = {how: given.mean() - model.score(test) for how, model in fits.items()}
        arrows = sum(map(len, found.graph_.values()))
        print(
            f"{name:10s}{len(network['nodes']):7d}{error:17.1e}{'-' if gap is None else f'{gap:.1e}':>13s}{below['true']:13.4f}"
            f"{below['tree']:11.4f}{below['hill']:12.4f} ({seconds:.2f} s, {arrows}){below['bdeu']:18.4f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
