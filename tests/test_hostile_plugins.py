"""Twelve distributions as pip would leave them, each bad in its own way: only its own row suffers."""

import json
import subprocess
import sys
import textwrap

import pytest

HEAD = """
import numpy as np
from skgen import GenerativeModel


class Model(GenerativeModel):
    kinds = frozenset({"continuous"})

    def _fit(self, X, weight, rng):
        self._mean = np.average(X, axis=0, weights=weight)
        self._variance = np.average(np.square(X - self._mean), axis=0, weights=weight) + 1e-6

    def _log_prob(self, X):
        return -0.5 * (np.square(X - self._mean) / self._variance + np.log(2 * np.pi * self._variance)).sum(axis=1)

    def _sample(self, n, rng):
        return self._mean + np.sqrt(self._variance) * rng.standard_normal((n, len(self._mean)))
"""
# distribution: (entry point line, text of its module; None: there is no module)
BAD = {
    "bad-import": ("bad_import = bad_import:Model", "raise ImportError('no libfoo.so')"),
    "bad-exit": ("bad_exit = bad_exit:Model", "import sys; sys.exit(3)"),
    "bad-instance": ("bad_instance = bad_instance:Model", HEAD + "\nModel = Model()"),
    "bad-api": ("bad_api = bad_api:Model", HEAD + "    __skgen_api__ = 2"),
    "bad-shadow": ("naive_bayes = bad_shadow:Model", HEAD),
    "bad-twin-a": ("twin = bad_twin_a:Model", HEAD),
    "bad-twin-b": ("twin = bad_twin_b:Model", HEAD),
    "bad-name": ("Bad-Name! = bad_name:Model", HEAD),
    "bad-need": ("bad_need = bad_need:Model", "import a_library_not_there\n" + HEAD),
    "bad-noise": ("bad_noise = bad_noise:Model", "print('hello from me')\n" + HEAD),
    "bad-module": ("bad_module = bad_module_not_there:Model", None),
    "bad-seed": ("bad_seed = bad_seed:Model", "import numpy; numpy.random.seed(0)\n" + HEAD),
    "bad-density": ("bad_density = bad_density:Model", HEAD.replace("2 * np.pi", "np.pi")),
    # beyond the twelve
    "bad-estimator": ("bad_estimator = bad_estimator:Model", "class Model: pass"),
    "bad-fit-seed": ("bad_fit_seed = bad_fit_seed:Model", HEAD.replace("self._mean = ", "np.random.seed(0); self._mean = ", 1)),
    "good": ("good = good_plugin:Model", HEAD),
}


def install(folder, distribution, point, text, requires=()):
    """What pip leaves in site-packages."""
    info = folder / f"{distribution.replace('-', '_')}-1.0.dist-info"
    info.mkdir()
    needs = "".join(f"Requires-Dist: {name}\n" for name in requires)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n{needs}")
    (info / "entry_points.txt").write_text(f"[skgen.models]\n{point}\n")
    if text is not None:
        module = point.partition("=")[2].partition(":")[0].strip()
        (folder / f"{module}.py").write_text(textwrap.dedent(text))


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    for name, (point, text) in BAD.items():
        install(folder, name, point, text, ["skgen", "a-library-not-there"] if name == "bad-need" else ["skgen"])
    return folder


def run(site, *words, code=0):
    environment = {"PYTHONPATH": str(site), "PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, env=environment, timeout=240, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def rows(site):
    """Rows of `skgen models --load --json` by distribution: what a plugin prints is no part of it."""
    return {row["distribution"]: row for row in json.loads(run(site, "-m", "skgen", "models", "--load", "--json"))}


@pytest.mark.parametrize(
    ("distribution", "loads", "reason"),
    [
        ("bad-import", False, "(ImportError: no libfoo.so). Upgrade bad-import, mend it if it is yours, or uninstall it."),
        ("bad-exit", False, "(SystemExit: 3)"),
        ("bad-instance", False, "bad_instance:Model is not a class"),
        ("bad-api", False, "author interface 2, this skgen has 1: upgrade skgen"),
        ("bad-shadow", True, "'naive_bayes' is built in; ask for bad-shadow:naive_bayes"),
        ("bad-name", False, "its name must be lower case letters, digits and underscores"),
        ("bad-need", False, "No module named 'a_library_not_there'). Install what it needs: pip install a-library-not-there"),
        ("bad-noise", True, ""),
        (
            "bad-module",
            False,
            "No module named 'bad_module_not_there'). Upgrade bad-module, mend it",
        ),
        ("bad-seed", True, "its import changed the global random state of numpy (put back)"),
        ("bad-density", True, ""),
        ("bad-estimator", False, "is no estimator: it has no fit and no get_params and no set_params"),
        ("bad-fit-seed", True, ""),
        ("good", True, ""),
        ("skgen", True, ""),
    ],
)
def test_each_is_a_row_with_its_reason(rows, distribution, loads, reason):
    row = rows[distribution]
    assert row["loads"] is loads
    assert reason in row["remark"]
    assert bool(row["remark"]) is bool(reason)


def test_two_claims_to_a_name_are_two_rows_and_an_error(site, rows):
    assert rows["bad-twin-a"]["loads"]
    assert rows["bad-twin-b"]["loads"]
    said = run(
        site,
        "-c",
        "import skgen\n"
        "print([n for n in skgen.names() if 'twin' in n])\n"
        "try: skgen.get('twin')\n"
        "except ValueError as e: print(e)\n"
        "print(skgen.get('bad-twin-b:twin').__module__)",
    ).splitlines()
    assert said == [
        "['bad-twin-a:twin', 'bad-twin-b:twin']",
        "'twin' is claimed by bad-twin-a and bad-twin-b: ask for bad-twin-a:twin or bad-twin-b:twin.",
        "bad_twin_b",
    ]


def test_the_listing_tells_of_two_claims(site):
    listed = [line for line in run(site, "-m", "skgen", "models").splitlines() if line.startswith("twin")]
    assert len(listed) == 2
    assert all("claimed by bad-twin-a and bad-twin-b" in line for line in listed)


def test_good_models_work_beside_them_and_nothing_is_printed_or_seeded(site):
    code = """
        import contextlib, io
        import numpy as np
        import skgen
        names = skgen.names()
        state = np.random.get_state()[1].copy()
        X = np.arange(20.0).reshape(10, 2) % 7
        for name in names:
            try:
                skgen.get(name)
            except skgen.PluginError:
                assert name.startswith("bad"), name
        assert (np.random.get_state()[1] == state).all()
        for name in ("naive_bayes", "good", "bad-shadow:naive_bayes", "bad-twin-a:twin"):
            print(name, skgen.make(name).fit(X).score_samples(X).shape)
        assert type(skgen.make("naive_bayes")).__module__.startswith("skgen.")
    """
    said = run(site, "-c", textwrap.dedent(code)).splitlines()
    assert said[-4:] == [f"{name} (10,)" for name in ("naive_bayes", "good", "bad-shadow:naive_bayes", "bad-twin-a:twin")]


@pytest.mark.parametrize(
    ("name", "check", "word"),
    [("bad_density", "density_normalised", "integrates to"), ("bad_fit_seed", "random_state", "global")],
)
def test_what_loads_and_is_wrong_is_caught_by_the_kit(site, name, check, word):
    said = run(site, "-m", "skgen", "check", name, "--only", check, code=1)
    assert "1 failed" in said
    assert word in said
    assert "1 passed" in run(site, "-m", "skgen", "check", "good", "--only", check)


def test_what_a_plugin_prints_is_no_part_of_a_machines_answer(site):
    told = json.loads(run(site, "-m", "skgen", "check", "bad_noise", "--only", "density_normalised", "--json"))
    assert told[0]["status"] == "passed"
    told = json.loads(
        run(site, "-m", "skgen", "compare", "wine", "--models", "bad_noise,bad_import,good", "--folds", "2", "--json")
    )
    assert {row["model"] for row in told["models"]} == {"bad_noise", "bad_import", "good"}


def test_what_is_installed_later_is_found_after_a_refresh(site, tmp_path):
    code = f"""
        import sys
        import skgen
        from skgen.registry import refresh
        assert "good" in skgen.names()
        sys.path.insert(0, {str(tmp_path)!r})
        assert "late" not in skgen.names()
        refresh()
        assert "late" in skgen.names()
        print(skgen.make("late"))
    """
    install(tmp_path, "late", "late = late:Model", HEAD)
    assert run(site, "-c", textwrap.dedent(code)).strip() == "Model()"


def test_one_distribution_that_claims_a_name_twice(tmp_path):
    install(tmp_path, "double", "one = double:Model\none = double:Other", HEAD)
    code = "import skgen\ntry: skgen.get('one')\nexcept skgen.PluginError as e: print(e)\nprint('one' in skgen.names())"
    said = run(tmp_path, "-c", code).splitlines()
    assert said == ["Model double:one is disabled: double claims 'one' more than once.", "False"]


def test_entry_points_that_cannot_be_parsed_are_a_row_and_take_nobody_with_them(tmp_path):
    # (importing torch fails beside such a distribution: it asks for entry points itself)
    install(tmp_path, "bad-text", "a line without a sign of equality", None)
    install(tmp_path, "good", "good = good:Model", HEAD)
    said = run(tmp_path, "-m", "skgen", "models")
    assert "its entry_points.txt cannot be read" in said
    assert "bad-text" in said
    assert (
        run(tmp_path, "-c", "import skgen; print(skgen.make('good'), skgen.make('naive_bayes'))").strip() == "Model() NaiveBayes()"
    )
