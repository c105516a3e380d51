"""A class-conditional VAE as a classifier of digits: Bayes' rule by the importance-weighted bound, by the plain ELBO, with gaps.

    python benchmarks/vae_classes.py [--draws 100] [--draws-missing 500] [--share 0.5]

scikit-learn's 1,797 digits of 8 x 8 grey values, 70 % of each class to learn from and the others to be judged by. One network
serves all classes, p(x | y, z) and q(z | x, y); log p(x | y) is its bound of so many draws, and "by the ELBO" puts the mean of
log p(x | z, y) - KL in its place, whose gap to log p(x | y) need not be the same for every class. Then ``--share`` of the test
pixels are removed at random: the VAE leaves them out, other classifiers have them filled. The VAE has seen whole rows in
training; "masked copies" is fitted on the training rows and a copy of them with as many pixels removed, which teaches its
encoder where to look for z when pixels are missing.

The network (eight codes, one hidden layer of 256 tanh units, pixels in one unit with a scale each) was chosen on a quarter of
the training rows, among two that were tried there, and so were the masked copies.
"""

import race  # noqa: F401  first: it limits the threads

import argparse
import time
import warnings

import numpy as np
import torch
from missing_features import removed
from sklearn.datasets import load_digits
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.impute import IterativeImputer, KNNImputer, SimpleImputer
from sklearn.linear_model import BayesianRidge, LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import skgen

torch.set_num_threads(1)

SETTINGS = {
    "n_components": 8,
    "hidden_layer_sizes": (256,),
    "activation": "tanh",
    "scale": "column",
    "image_shape": (8, 8),
    "channels": None,
    "random_state": 0,
}


def by_elbo(model: skgen.VAE, X: np.ndarray) -> np.ndarray:
    """Classes by Bayes' rule over the evidence lower bound."""
    each = [model.elbo_terms(X, y=label)["elbo"] for label in model.classes_]
    return model.classes_[(np.column_stack(each) + model.class_log_prior_).argmax(axis=1)]


def main(draws: int, draws_missing: int, share: float) -> None:
    X, y = load_digits(return_X_y=True)
    X, X_test, y, y_test = train_test_split(X, y, test_size=0.3, stratify=y, random_state=0)
    began = time.process_time()
    model = skgen.make("vae", **SETTINGS, n_samples_score=draws).fit(X, y)
    spent = time.process_time() - began
    print(f"{len(X)} digits to learn from, {len(X_test)} to be judged by; {model.n_iter_} epochs, {spent:.0f} CPU s", flush=True)
    gap = model.elbo_terms(X_test, y=y_test)["gap"]
    logistic = make_pipeline(StandardScaler(), LogisticRegression(max_iter=3000))
    print(f"   vae, the bound of {draws} draws     {model.score(X_test, y_test):.4f}")
    print(f"   vae, the ELBO                 {np.mean(by_elbo(model, X_test) == y_test):.4f}   (gap {gap.mean():.1f} nats)")
    print(f"   logistic regression           {logistic.fit(X, y).score(X_test, y_test):.4f}", flush=True)
    holes = removed(X_test, share, np.random.default_rng(0))
    print(f"{share:.0%} of the test pixels missing:")
    began = time.process_time()
    accuracy = model.set_params(n_samples_score=draws_missing).score(holes, y_test)
    print(f"   vae, {draws_missing} draws                {accuracy:.4f}   ({time.process_time() - began:.0f} CPU s)", flush=True)
    masked = removed(X, share, np.random.default_rng(1))
    began = time.process_time()
    again = skgen.make("vae", **SETTINGS, n_samples_score=draws_missing, batch_size=48, learning_rate=2e-3)
    again.fit(np.concatenate([X, masked]), np.tile(y, 2))
    print(f"   vae, masked copies, {draws_missing} draws  {again.score(holes, y_test):.4f}", end="")
    print(f"   (whole rows {again.set_params(n_samples_score=draws).score(X_test, y_test):.4f}; ", end="")
    print(f"{time.process_time() - began:.0f} CPU s)", flush=True)
    imputers = {
        "mean": SimpleImputer(),
        "kNN": KNNImputer(),
        "iterative": IterativeImputer(BayesianRidge(), tol=0, max_iter=5, n_nearest_features=20, random_state=0),
    }
    for name, imputer in imputers.items():
        score = make_pipeline(StandardScaler(), imputer, LogisticRegression(max_iter=3000)).fit(X, y).score(holes, y_test)
        print(f"   {name + ' imputation, logistic':32s}{score:.4f}", flush=True)
    boosting = HistGradientBoostingClassifier(random_state=0).fit(X, y)
    print(f"   {'boosting, its own way':32s}{boosting.score(holes, y_test):.4f}", flush=True)
    normal = skgen.make("gaussian_mixture", units="shared").fit(X, y)
    print(f"   {'gaussian_mixture, exact':32s}{normal.score(holes, y_test):.4f}", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=100)
    parser.add_argument("--draws-missing", type=int, default=500)
    parser.add_argument("--share", type=float, default=0.5)
    asked = parser.parse_args()
    warnings.simplefilter("ignore")  # ties among pixels, convergence of imputers: the figures say what they cost
    main(asked.draws, asked.draws_missing, asked.share)
