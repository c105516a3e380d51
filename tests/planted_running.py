"""Models for the tests of the kit, of fits that are interrupted or run side by side: a right one, then wrong ones."""

from __future__ import annotations

import os
import signal
import time

import numpy as np
from planted import TinyGaussian

_SCRATCH = {}

# ---- a right one


class KeepsTheBest(TinyGaussian):
    """As a net does: an interrupt ends a first fit early, whole, and is raised again."""

    def fit(self, X, y=None, sample_weight=None):
        try:
            return super().fit(X, y, sample_weight)
        except KeyboardInterrupt:
            super().fit(X, y, sample_weight)
            raise


# ---- wrong ones: interrupts


class Swallows(TinyGaussian):
    def _fit(self, X, weight, rng):
        try:
            for _ in range(10):
                super()._fit(X, weight, rng)
        except KeyboardInterrupt:
            super()._fit(X, weight, rng)


class Deaf(TinyGaussian):
    def fit(self, X, y=None, sample_weight=None):
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            return super().fit(X, y, sample_weight)
        finally:
            signal.signal(signal.SIGINT, before)


class Lingers(TinyGaussian):
    def fit(self, X, y=None, sample_weight=None):
        try:
            return super().fit(X, y, sample_weight)
        except KeyboardInterrupt:
            time.sleep(2.1)
            raise


class HalfAFit(TinyGaussian):
    """An earlier fit is kept, but with the covariance of one that had only begun."""

    def fit(self, X, y=None, sample_weight=None):
        try:
            return super().fit(X, y, sample_weight)
        except KeyboardInterrupt:
            for one in self.densities_ if "_fitted" in vars(self) else []:
                one._covariance = np.eye(len(one._mean))
            raise


class HalfAFirstFit(TinyGaussian):
    def fit(self, X, y=None, sample_weight=None):
        earlier = "_fitted" in vars(self)
        try:
            return super().fit(X, y, sample_weight)
        except KeyboardInterrupt:
            if not earlier:
                super().fit(X, y, sample_weight)
                self.columns_.loc[:] = 0.0
            raise


# ---- wrong ones: threads and processes


class SharedScratch(TinyGaussian):
    """Rows wait in a variable of the module while another thread puts its own there."""

    def _fit(self, X, weight, rng):
        _SCRATCH["now"] = X, weight
        time.sleep(0.002)
        super()._fit(*_SCRATCH["now"], rng)


class KeepsTheBatch(TinyGaussian):
    def _log_prob(self, X):
        self._batch = X
        time.sleep(0.0005)
        return super()._log_prob(self._batch)


class ReadsTheProcess(TinyGaussian):
    def _fit(self, X, weight, rng):
        super()._fit(X, weight, rng)
        self._mean = self._mean + 1e-9 * os.getpid()


class StreamOfTheWorker(TinyGaussian):
    """The fit draws, from a stream that each worker begins anew."""

    def _fit(self, X, weight, rng):
        super()._fit(X, weight, np.random.default_rng(0) if self.n_jobs else rng)
        noise = np.random.default_rng(0) if self.n_jobs else rng
        self._mean = self._mean + 1e-3 * noise.standard_normal(len(self._mean))
