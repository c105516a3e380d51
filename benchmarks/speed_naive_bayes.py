"""Naive Bayes: 100,000 rows x 20 columns, 10 classes; and the overhead of a call on 200 rows.

Rivals: scikit-learn's GaussianNB and, where installed, pomegranate's BayesClassifier with diagonal normals (float32).
"""

from race import race, report  # first: it limits the threads

import numpy as np
from sklearn.naive_bayes import GaussianNB

from skgen import NaiveBayes


def data(n: int = 100_000, d: int = 20, n_classes: int = 10) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    mean = rng.normal(0, 1, (n_classes, d))
    y = rng.integers(0, n_classes, n)
    factor = rng.normal(0, 0.3, (n_classes, d, d)) + np.eye(d)
    return mean[y] + np.einsum("nij,nj->ni", factor[y], rng.normal(size=(n, d))), y


def main() -> None:
    X, y = data()
    fits = {
        "skgen naive_bayes, float64": lambda: NaiveBayes(distributions="normal", shrinkage=0).fit(X, y),
        "scikit-learn GaussianNB, float64": lambda: GaussianNB().fit(X, y),
    }
    inputs = dict.fromkeys(fits, X)
    try:
        import torch
        from pomegranate.bayes_classifier import BayesClassifier
        from pomegranate.distributions import Normal

        torch.set_num_threads(1)
        X32, labels = torch.from_numpy(X.astype(np.float32)), torch.from_numpy(y)
        name = "pomegranate BayesClassifier diag, float32"
        fits[name] = lambda: BayesClassifier([Normal(covariance_type="diag") for _ in range(10)]).fit(X32, labels)
        inputs[name] = X32
    except ImportError:
        print("pomegranate is not installed: its rows are left out")
    fitted = race(fits)
    report("naive Bayes, fit", fitted)
    models = {name: model for name, (_, model) in fitted.items()}
    asked = race({name: lambda name=name: np.asarray(models[name].predict(inputs[name])) for name in models})
    report("naive Bayes, predict", asked, lambda name, codes: f"accuracy {np.mean(codes == y):.4f}")
    ours, theirs = models["skgen naive_bayes, float64"], models["scikit-learn GaussianNB, float64"]
    gap = np.abs(ours.predict_joint_log_proba(X) - theirs.predict_joint_log_proba(X)).max()
    print(f"   largest difference of log p(x, y) from scikit-learn's: {gap:.1e} nats")
    few = X[:200]
    calls = race(
        {
            "skgen score_samples x 100": lambda: [ours.score_samples(few) for _ in range(100)],
            "skgen predict x 100": lambda: [ours.predict(few) for _ in range(100)],
        }
    )
    for name, (seconds, _) in calls.items():
        print(f"   {name}: {seconds * 10:.3f} ms a call on 200 x 20")


if __name__ == "__main__":
    main()
