"""Hidden Markov models: 500 sequences x 100 steps x 5 columns, 8 states, normal emissions; EM and scoring.

Rival: hmmlearn's GaussianHMM with implementation="scaling", from the same start, for as many iterations.
"""

from race import race, report  # first: it limits the threads

import numpy as np

import skgen
from skgen import HMM, NaiveBayes
from skgen.models.latent.hmm import _Steps
from skgen.ops.chains import Chain

R, T, D, S, ITERATIONS = 500, 100, 5, 8, 5


def data(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Rows (R, T D) and the means they were drawn with."""
    transmat = rng.dirichlet(np.full(S, 0.5), S) * 0.5 + 0.5 * np.eye(S)
    means = rng.normal(0, 2, (S, D))
    states = Chain(np.full(S, 1 / S), transmat).sample(R, T, rng)
    X = means[states] + rng.normal(size=(T, R, D))
    return np.ascontiguousarray(X.transpose(1, 0, 2)).reshape(R, T * D), means


def ours(X: np.ndarray, means: np.ndarray, chain: Chain) -> HMM:
    """One density with the start given, moved by the EM iterations of ``fit``; from the table to the parameters."""
    columns = skgen.columns(X, "continuous", step_features=D)
    part = HMM(NaiveBayes(distributions="normal", shrinkage=0), n_states=S, step_features=D, alpha=0.0).part(columns)
    part._one_step = part._step_columns()
    part._emission, part._chain = part._template().as_component(part._one_step, "emission"), chain
    loc, scale = columns.loc[:D], columns.scale[:D]
    two = np.concatenate([(means + sign - loc) / scale for sign in (-1, 1)])  # two rows a state: its mean and unit variance
    part._emission._fit_classes(two, np.tile(np.eye(S), (2, 1)), np.random.default_rng(0))
    steps = _Steps(columns.encode(X)[0], np.ones(len(X)), D, S)
    for _ in range(ITERATIONS):
        part._step(steps, np.random.default_rng(0))
    return part


def main() -> None:
    rng = np.random.default_rng(0)
    X, truth = data(rng)
    means = truth + rng.normal(0, 0.7, truth.shape)
    transmat = np.full((S, S), 0.5 / (S - 1))
    np.fill_diagonal(transmat, 0.5)
    chain = Chain(np.full(S, 1 / S), transmat)
    flat, sizes = X.reshape(-1, D), [T] * R
    fits = {"skgen hmm, float64": lambda: ours(X, means, chain)}
    try:
        from hmmlearn.hmm import GaussianHMM

        def theirs() -> GaussianHMM:
            model = GaussianHMM(
                S,
                "diag",
                n_iter=ITERATIONS,
                tol=-np.inf,
                init_params="",
                params="stmc",
                implementation="scaling",
                covars_prior=0.0,
                covars_weight=1.0,
            )
            model.startprob_, model.transmat_ = chain.start, chain.transmat
            model.means_, model.covars_ = means.copy(), np.ones((S, D))
            return model.fit(flat, sizes)

        fits["hmmlearn GaussianHMM scaling, float64"] = theirs
    except ImportError:
        print("hmmlearn is not installed: its rows are left out")
    fitted = race(fits)
    models = {name: model for name, (_, model) in fitted.items()}
    shell = HMM(NaiveBayes(distributions="normal"), n_states=1, step_features=D, column_kinds="continuous").fit(X)
    shell.columns_ = models["skgen hmm, float64"].columns_
    shell._fitted.densities_ = [models["skgen hmm, float64"]]
    models["skgen hmm, float64"] = shell

    def log_p(name: str) -> float:
        model = models[name]
        return model.score(X) if name.startswith("skgen") else model.score(flat, sizes) / R

    title = f"hmm, {ITERATIONS} EM iterations on {R} x {T} x {D}, {S} states"
    report(title, fitted, lambda name, _: f"{log_p(name):.6f} nats a row")
    asked = race({name: lambda name=name: log_p(name) for name in models})
    report("hmm, score", asked, lambda name, value: f"{value:.6f} nats a row")


if __name__ == "__main__":
    main()
