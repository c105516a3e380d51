"""Models by name: whatever a stranger's distribution does, only its own row suffers."""

import subprocess
import sys
import textwrap
from importlib.metadata import EntryPoint
from types import SimpleNamespace

import pytest

import skgen
from skgen import plugins, registry
from skgen.registry import PluginError, find, scan


def point(name, value, dist="skgen", version="1.0"):
    made = EntryPoint(name, value, "skgen.models")
    metadata = f"Metadata-Version: 2.1\nName: {dist}\nVersion: {version}\nSummary: it\n\nName: not this\n"
    vars(made).update(dist=SimpleNamespace(read_text=lambda file: metadata if file == "METADATA" else None))
    return made


OURS = point("naive_bayes", "skgen.models.explicit.naive_bayes:NaiveBayes")


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Write a module that can be imported for the length of a test."""
    monkeypatch.syspath_prepend(tmp_path)

    def write(name, text):
        (tmp_path / f"{name}.py").write_text(textwrap.dedent(text))
        monkeypatch.delitem(sys.modules, name, raising=False)
        return name

    return write


def test_what_is_installed():
    assert "naive_bayes" in skgen.names()
    assert skgen.names() == sorted(skgen.names())
    assert skgen.get("naive_bayes") is skgen.NaiveBayes
    assert skgen.get("skgen:naive_bayes") is skgen.NaiveBayes
    assert skgen.make("naive_bayes", alpha=0.5).alpha == 0.5
    entry = find("naive_bayes")
    assert (entry.family, entry.class_name, entry.distribution) == ("explicit", "NaiveBayes", "skgen")


def test_unknown_names_suggest_near_misses():
    with pytest.raises(ValueError, match=r"no model 'naive_bays'. Did you mean naive_bayes"):
        skgen.get("naive_bays")
    with pytest.raises(ValueError, match=r"no model 'zzzzzzzz'. skgen.names\(\) and `skgen models` list them"):
        skgen.get("zzzzzzzz")
    with pytest.raises(AttributeError, match="NaiveBays"):
        _ = skgen.NaiveBays


def test_listing_imports_no_model(module):
    name = module("counts_imports", "raise RuntimeError('imported')")
    known = scan([OURS, point("other", f"{name}:Model", "dist")], {})
    assert [e.name for e in known] == ["naive_bayes", "other"]
    assert name not in sys.modules
    code = "import sys, skgen; skgen.names(); print(any(m in sys.modules for m in ('torch', 'sklearn', 'pandas', 'numpy')))"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "False"


def test_two_claims_to_one_name_name_both():
    known = scan([OURS, point("flow", "a:A", "Dist_A"), point("flow", "b:B", "dist-b")], {})
    with pytest.raises(ValueError, match="'flow' is claimed by dist-a and dist-b: ask for dist-a:flow or dist-b:flow"):
        find("flow", known)
    assert find("dist-b:flow", known).target == "b:B"
    assert find("Dist.A:flow", known).target == "a:A"


def test_two_claims_are_listed_with_their_distributions(monkeypatch):
    known = scan([OURS, point("flow", "a:A", "dist-a"), point("flow", "b:B", "dist-b")], {})
    monkeypatch.setattr(registry, "entries", lambda: known)
    assert registry.names() == ["dist-a:flow", "dist-b:flow", "naive_bayes"]


def test_built_ins_cannot_be_shadowed():
    for order in ([0, 1], [1, 0]):
        points = [OURS, point("naive_bayes", "evil:Model", "evil")]
        known = scan([points[i] for i in order], {})
        assert find("naive_bayes", known).distribution == "skgen"
        assert find("evil:naive_bayes", known).target == "evil:Model"
        (shadow,) = [e for e in known if e.distribution == "evil"]
        assert "is built in; ask for evil:naive_bayes" in shadow.blocked


def test_gates():
    points = [OURS, point("one", "a:A", "dist-a"), point("two", "b:B", "dist_b")]
    off = scan(points, {"SKGEN_DISABLE_PLUGINS": "1"})
    assert [e.name for e in off if not e.blocked] == ["naive_bayes"]
    with pytest.raises(PluginError, match="dist-a:one is disabled: SKGEN_DISABLE_PLUGINS is set"):
        find("dist-a:one", off).load()
    some = scan(points, {"SKGEN_PLUGINS": "Dist-B, other"})
    assert [e.name for e in some if not e.blocked] == ["naive_bayes", "two"]
    with pytest.raises(PluginError, match="not among SKGEN_PLUGINS"):
        find("one", some).load()
    assert not any(e.blocked for e in scan(points, {"SKGEN_DISABLE_PLUGINS": "0", "SKGEN_PLUGINS": ""}))


def test_the_environment_is_read_at_each_call(monkeypatch):
    monkeypatch.setenv("SKGEN_DISABLE_PLUGINS", "1")
    assert all(e.distribution == "skgen" for e in registry.entries() if not e.blocked)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("raise ImportError('no libfoo')", r"ImportError: no libfoo"),
        ("import sys; sys.exit(3)", r"SystemExit: 3"),
        ("Model = 3", r"TypeError: .*:Model is not a class"),
        ("x = 1", r"AttributeError: .*'Model'"),
        ("this is no Python", "SyntaxError"),
        ("class Model:\n    __skgen_api__ = 2", r"author interface 2, this skgen has 1: upgrade skgen"),
        ("class Model:\n    __skgen_api__ = 0", r"author interface 0, this skgen has 1: upgrade broken"),
    ],
)
def test_a_broken_plugin_is_one_error_that_names_it(module, text, said):
    name = module("broken_plugin", text)
    known = scan([OURS, point("bad", f"{name}:Model", "broken", "0.3")], {})
    with pytest.raises(PluginError, match=rf"Model 'bad' of broken 0.3 cannot be loaded \({said}|{said}"):
        find("bad", known).load()
    assert find("naive_bayes", known).load() is skgen.NaiveBayes
    assert "broken_plugin" not in sys.modules or "Model" in text or text == "x = 1"


def test_an_interrupt_is_not_swallowed(module):
    name = module("interrupts", "raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        find("it", scan([point("it", f"{name}:Model", "dist")], {})).load()


@pytest.mark.parametrize(
    ("name", "value"), [("Bad Name", "a:A"), ("9lives", "a:A"), ("fine", "no class here"), ("fine", "a:"), ("fine", "")]
)
def test_malformed_entry_points_do_not_stop_the_listing(name, value):
    known = scan([OURS, point(name, value, "dist")], {})
    assert [e.name for e in known if not e.blocked] == ["naive_bayes"]
    assert [e.blocked for e in known if e.name == name] != [""]


def test_extras(monkeypatch):
    deep = point("deep", "skgen.models.explicit.naive_bayes:NaiveBayes [torch]")
    (entry,) = scan([deep], {})
    assert entry.extras == ("torch",)
    assert plugins._needed("skgen", "torch") == ["torch", "skorch"]
    monkeypatch.setattr(plugins, "_installed", lambda name: name != "skorch")
    assert entry.missing_extra == 'pip install "skgen[torch]"'
    with pytest.raises(PluginError, match=r'Model \'deep\' needs torch: pip install "skgen\[torch\]"'):
        entry.load()
    monkeypatch.setattr(plugins, "_installed", lambda name: True)
    assert entry.missing_extra == ""
    assert entry.load() is skgen.NaiveBayes


def test_models_that_take_kinds_are_named():
    assert "naive_bayes" in registry.taking({"continuous", "categorical"}).split(", ")
