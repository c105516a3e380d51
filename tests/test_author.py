"""The author kit: what it writes is found, works, and passes the checks as it is."""

import ast
import os
import subprocess
import sys
import tomllib

import pytest

from skgen.author import new_plugin
from skgen.cli import main


def installed(top):
    """As pip would leave it: the sources on the path, and what the distribution says of itself beside them."""
    told = tomllib.loads((top / "pyproject.toml").read_text())["project"]
    about = top / "src" / f"{told['name'].replace('-', '_')}-{told['version']}.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {told['name']}\nVersion: {told['version']}\n")
    points = told["entry-points"]["skgen.models"].items()
    (about / "entry_points.txt").write_text("[skgen.models]\n" + "".join(f"{name} = {target}\n" for name, target in points))
    return {**os.environ, "PYTHONPATH": str(top / "src"), "SKGEN_DISABLE_PLUGINS": "0"}


def run(environ, *command):
    return subprocess.run([sys.executable, *command], env=environ, capture_output=True, text=True, timeout=300, check=False)


def test_a_new_plugin_is_found_and_passes_the_kit(tmp_path):
    written = new_plugin("wild_mixture", tmp_path)
    top = tmp_path / "skgen-wild-mixture"
    assert sorted(path for path in top.rglob("*") if path.is_file()) == sorted(written)
    assert len(ast.parse(written[2].read_text()).body) < 10
    assert len(written[2].read_text().splitlines()) < 60
    assert all("$" not in path.read_text() for path in written[:4])
    environ = installed(top)
    listed = run(environ, "-m", "skgen", "models")
    assert "wild_mixture" in listed.stdout
    assert "skgen-wild-mixture" in listed.stdout
    checked = run(environ, "-m", "skgen", "check", "wild_mixture")
    assert checked.returncode == 0, checked.stdout
    assert "failed" not in checked.stdout.splitlines()[0]
    tested = run(environ, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--collect-only", str(top / "tests"))
    assert "test_conformance[WildMixture" in tested.stdout
    used = run(
        environ,
        "-c",
        "import skgen; from sklearn.datasets import load_iris\n"
        "X, y = load_iris(return_X_y=True); model = skgen.make('wild_mixture').fit(X, y)\n"
        f"skgen.save(model, r'{tmp_path}/m.skgen'); print(skgen.load(r'{tmp_path}/m.skgen').score(X, y))",
    )
    assert used.returncode == 0, used.stderr
    assert float(used.stdout) > 0.9


@pytest.mark.parametrize("name", ["Wild", "wild-mixture", "", "9lives", "../up", "class", "a b"])
def test_a_name_that_is_none_is_refused(name, tmp_path):
    with pytest.raises(ValueError, match="is no name for a model"):
        new_plugin(name, tmp_path)
    assert not list(tmp_path.iterdir())


def test_nothing_is_overwritten(tmp_path, capsys):
    with pytest.raises(ValueError, match="a model 'made' already, of skgen"):
        new_plugin("made", tmp_path)
    assert main(["new-plugin", "wild", "--folder", str(tmp_path)]) == 0
    assert "skgen check wild" in capsys.readouterr().out
    assert main(["new-plugin", "wild", "--folder", str(tmp_path)]) == 2
    assert "is there already" in capsys.readouterr().err
