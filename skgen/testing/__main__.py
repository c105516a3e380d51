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
form = parser.add_mutually_exclusive_group()
form.add_argument("--json", dest="form", action="store_const", const="json", default="text")
form.add_argument("--junit", dest="form", action="store_const", const="junit")

if __name__ == "__main__":
    asked = parser.parse_args()
    text, code = run(asked.name, asked.tier, asked.seed, asked.form, asked.only, asked.params)
    print(text)
    sys.exit(code)
