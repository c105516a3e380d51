"""How often the kit's statistical checks call a right model wrong: many seeds on fits that stay fixed.

    python benchmarks/kit_calibration.py naive_bayes gaussian_mixture --seeds 200

Each model is fitted once a table; only the draws of the checks change with the seed. Printed per model and check: the
runs, failures (two-stage, so 1e-7 a run if the p-values are honest) and inconclusive runs; then per table of the check
the quantiles of its p-values. They are corrected by Bonferroni for the functions looked at, so that at most x of them
lie below x: an honest check has quantiles at or above the level that heads their column. A model is a registry name or
module:Class, with its ``quick`` parameters. Ends with status 1 after a failure.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from skgen.evaluate.named import load_class
from skgen.testing.result import Measured
from skgen.testing.run import checks_for, run_check
from skgen.testing.subject import Subject


LEVELS = (0.01, 0.05, 0.25, 0.5, 0.75)


class Recorder(Subject):
    """A subject that keeps the p-value of every table."""

    def __init__(self, *given: Any):
        super().__init__(*given)
        self.p_values: dict[str, list[float]] = {}

    def settle(self, name: str, cases: list, look: Callable, wrong: str) -> Measured:
        found = [super(Recorder, self).settle(name, [case], look, wrong) for case in cases]
        for (table, _), one in zip(cases, found, strict=True):
            self.p_values.setdefault(table.name, []).append(one.p_value)
        return min(found, key=lambda one: one.p_value)


def calibrate(name: str, seeds: int, tier: str, only: str | None) -> int:
    """Print one line a check and one a table; the number of failures."""
    subject, failures = Recorder(load_class(name), tier), 0
    for check in checks_for("full", only):
        if not check.statistical:
            continue
        start, statuses, words = time.process_time(), [], ""
        subject.p_values.clear()
        for seed in range(seeds):
            subject.seed = seed
            result = run_check(check, subject)
            statuses.append(result["status"])
            if result["status"] in ("failed", "inconclusive", "skipped"):
                words = result["message"]
            if result["status"] == "skipped":
                break
        failed, vague = statuses.count("failed"), statuses.count("inconclusive")
        failures += failed
        line = f"{name:18s} {check.name:24s} runs {len(statuses):4d}  failed {failed:3d}  inconclusive {vague:3d}"
        print(f"{line}  {time.process_time() - start:6.1f} s  {words}".rstrip(), flush=True)
        if subject.p_values:
            print(f"{'':18s} {'quantiles of p':24s} " + "".join(f"{level:8.0%}" for level in LEVELS))
        for table, p in subject.p_values.items():
            at = "".join(f"{q:8.3f}" for q in np.quantile(p, LEVELS))
            print(f"{'':18s} {table:24s} {at}   least {min(p):.1e}", flush=True)
    return failures


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", help="registry names or module:Class")
    parser.add_argument("--seeds", type=int, default=200)
    parser.add_argument("--tier", choices=("quick", "full"), default="quick", help="how many points a check looks at")
    parser.add_argument("--only", help="name or id of one check")
    asked = parser.parse_args()
    failures = sum(calibrate(name, asked.seeds, asked.tier, asked.only) for name in asked.models)
    print(f"{failures} failures")
    return int(failures > 0)


if __name__ == "__main__":
    sys.exit(main())
