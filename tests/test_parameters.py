"""Annotated fields are parameters, and mistakes that would fail silently are refused when the class is made."""

import inspect
from dataclasses import field
from math import inf
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import pytest
from sklearn.base import clone

from skgen import GenerativeModel, Interval
from skgen.parameters import Parameters


class Example(Parameters):
    """One of each kind of parameter."""

    inner: Any = field(default=None, kw_only=False)
    n_components: Annotated[int, Interval(1)] = 2
    rate: Annotated[float, Interval(0, 1, open_low=True)] | None = 0.1
    how: Literal["fast", "exact", 3] = "fast"
    flag: bool = False
    names: str | dict = "auto"
    anything: Any = None
    sizes: tuple[int, ...] = ()


def test_fields_are_parameters():
    assert list(inspect.signature(Example).parameters) == [
        "inner",
        "n_components",
        "rate",
        "how",
        "flag",
        "names",
        "anything",
        "sizes",
    ]
    model = Example(flag=True)
    assert model.get_params()["n_components"] == 2
    assert clone(model.set_params(rate=0.5)).rate == 0.5
    assert "n_components" not in vars(Example).get("__slots__", ())
    assert repr(model) == "Example(flag=True, rate=0.5)"


def test_only_the_inner_model_is_positional():
    assert Example("x").inner == "x"
    with pytest.raises(TypeError, match="positional"):
        Example("x", 3)


def test_a_subclass_inherits_and_overrides():
    class Child(Example):
        """Another default."""

        n_components: Annotated[int, Interval(1)] = 7
        more: float = 1.0

    assert Child().n_components == 7
    assert Child(more=2.0).get_params()["more"] == 2.0
    assert Example().n_components == 2


def test_an_override_without_annotation_is_refused():
    with pytest.raises(TypeError, match=r"Child.n_components overrides a parameter: repeat its annotation"):

        class Child(Example):
            """Would keep the inherited default in its signature."""

            n_components = 7


def test_an_annotated_trait_is_refused():
    for body in ({"kinds": set}, {"likelihood": str}, {"missing": str}, {"quick": dict}):
        with pytest.raises(TypeError, match="describes the class and is not a parameter"):
            type("Child", (GenerativeModel,), {"__annotations__": body, "__module__": __name__})

    class Fine(GenerativeModel):
        """A ClassVar is no parameter."""

        kinds: ClassVar[set] = {"binary"}

    assert "kinds" not in Fine().get_params()


@pytest.mark.parametrize(
    ("name", "good"),
    [
        ("n_components", [1, 5, np.int64(3)]),
        ("rate", [None, 1, 0.5, np.float32(0.5)]),
        ("how", ["fast", "exact", 3]),
        ("flag", [True, np.bool_(False)]),
        ("names", ["auto", {}, {"a": "b"}]),
        ("anything", [None, 3, "x", object()]),
        ("sizes", [(), (1, 2)]),
    ],
)
def test_allowed_values(name, good):
    for value in good:
        Example(**{name: value})._validate_parameters()


@pytest.mark.parametrize(
    ("name", "bad", "said"),
    [
        ("n_components", [0, -1, 2.0, True, "2", None], r"an int in \[1, inf\)"),
        ("rate", [0, 1.5, -0.1, float("nan"), "0.5", True], r"a number in \(0, 1\] or None"),
        ("how", ["slow", None, 4, ["fast"]], "one of 'fast', 'exact', 3"),
        ("flag", [1, None, "yes"], "a bool"),
        ("names", [None, 3, ["a"]], "a str or a dict"),
        ("sizes", [[1], 3], "a tuple"),
    ],
)
def test_refused_values_name_parameter_value_and_what_is_allowed(name, bad, said):
    for value in bad:
        with pytest.raises(ValueError, match=f"^{name}=.* of Example must be {said}") as error:
            Example(**{name: value})._validate_parameters()
        assert repr(value) in str(error.value)


def test_interval():
    assert 0 in Interval(0, 1)
    assert 1 in Interval(0, 1)
    assert 0 not in Interval(0, 1, open_low=True)
    assert 1 not in Interval(0, 1, open_high=True)
    assert float("nan") not in Interval()
    assert [repr(Interval(*a)) for a in [(), (0,), (-inf, 2)]] == ["(-inf, inf)", "[0, inf)", "(-inf, 2]"]
