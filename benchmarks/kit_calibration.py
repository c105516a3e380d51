"""How often the kit's statistical checks call a right model wrong: many seeds on fits that stay fixed.

    python benchmarks/kit_calibration.py naive_bayes gaussian_mixture --seeds 200

Each model is fitted once a table; only the draws of the checks change with the seed. Printed per model and check: the
runs, failures (two-stage, so 1e-7 a run if the p-values are honest), inconclusive runs, and how many p-values fall
below 5 %, 1 % and 0.1 %; a p-value is the least over the tables of the check, so that with m tables about 5 m % lie
below 5 %. A model is a registry name or module:Class, with its ``quick`` parameters. Ends with status 1 after a failure.
"""

from __future__ import annotations

import argparse
import sys
import time

import numpy as np

from skgen.testing.report import load
from skgen.testing.run import checks_for, run_check
from skgen.testing.subject import Subject


def calibrate(name: str, seeds: int, tier: str, only: str | None) -> int:
    """Print one line a check; the number of failures."""
    subject, failures = Subject(load(name), tier), 0
    for check in checks_for("full", only):
        if not check.statistical:
            continue
        start, statuses, p_values, words = time.process_time(), [], [], ""
        for seed in range(seeds):
            subject.seed = seed
            result = run_check(check, subject)
            statuses.append(result["status"])
            if result["p_value"] is not None:
                p_values.append(result["p_value"])
            if result["status"] in ("failed", "inconclusive", "skipped"):
                words = result["message"]
            if result["status"] == "skipped":
                break
        failed, p = statuses.count("failed"), np.array(p_values)
        failures += failed
        below = "  ".join(f"p<{level:g}: {(p < level).sum():3d}" for level in (0.05, 0.01, 0.001))
        vague = statuses.count("inconclusive")
        line = f"{name:18s} {check.name:24s} runs {len(statuses):4d}  failed {failed:3d}  inconclusive {vague:3d}  {below}"
        print(f"{line}  {time.process_time() - start:6.1f} s  {words}".rstrip(), flush=True)
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
