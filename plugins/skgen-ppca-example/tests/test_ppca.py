"""What is true of this model alone."""

import numpy as np
from scipy.stats import multivariate_normal
from skgen_ppca_example import PPCAExample
from sklearn.decomposition import PCA


def test_the_density_is_that_of_scikit_learns_pca():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 2)) @ rng.normal(size=(2, 5)) + 0.3 * rng.normal(size=(300, 5))
    X /= X.std(axis=0)  # the columns are standardised in fit: so both see the same
    model, pca = PPCAExample(n_components=2).fit(X), PCA(2).fit(X)
    # scikit-learn divides by n - 1
    n = len(X)
    np.testing.assert_allclose(model.score_samples(X), pca.score_samples(X), atol=5 / n * 5)
    C = model.components_ @ model.components_.T + model.densities_[0]._noise * np.diag(model.columns_.scale**2)
    np.testing.assert_allclose(model.score_samples(X), multivariate_normal(X.mean(axis=0), C).logpdf(X))
