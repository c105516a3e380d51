"""Formulas: pure functions, no estimator in sight."""
