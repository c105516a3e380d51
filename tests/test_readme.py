"""What the README shows is what happens."""

import doctest
import re
from pathlib import Path

import skgen
from skgen.registry import entries

README = (Path(__file__).resolve().parent.parent / "README.md").read_text()


def test_examples_run():
    parser, runner = doctest.DocTestParser(), doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    block = "\n".join(re.findall(r"```python\n(.*?)```", README, flags=re.S))
    example = parser.get_doctest(block, {}, "README", "README.md", 0)
    assert len(example.examples) > 10
    assert runner.run(example).failed == 0


def test_table_of_models_is_complete():
    listed = set(re.findall(r"`([a-z_]+)`", README.split("## Models")[1].split("## On the command line")[0]))
    built_in = {entry.name for entry in entries() if entry.distribution == "skgen"}
    assert built_in <= listed, f"the README leaves out {sorted(built_in - listed)}"


def test_named_classes_exist():
    for name in ("GenerativeClassifier", "TransformedDensity", "GenerativeImputer", "columns", "compare"):
        assert name in README
        assert hasattr(skgen, name)
