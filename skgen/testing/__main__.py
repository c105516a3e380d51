"""``python -m skgen.testing NAME``: the command that a failing check prints."""

import argparse
import json
import sys

from skgen.testing.report import run

parser = argparse.ArgumentParser(prog="python -m skgen.testing", description=__doc__)
parser.add_argument("name", help="a registry name or module:Class")
parser.add_argument("--only", help="name or id of one check")
parser.add_argument("--tier", choices=("quick", "full"), default="quick")
parser.add_argument("--seed", type=int, default=0)
parser.add_argument("--params", type=json.loads, help="parameters as JSON, in place of the class's quick ones")
parser.add_argument("--json", action="store_true")

if __name__ == "__main__":
    asked = parser.parse_args()
    text, code = run(asked.name, asked.tier, asked.seed, asked.json, asked.only, asked.params)
    print(text)
    sys.exit(code)
