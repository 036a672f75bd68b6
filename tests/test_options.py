"""Options refuse what they cannot take, and say what they expected."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpc_studio.options import Option, OptionError, describe, option, updated


@dataclass(frozen=True)
class Base:
    samples: int = option(32, min=2, max=64, help="Candidates.", static=True)
    horizon: float = option(1.0, min=0.1, max=5.0, unit="s", help="How far.")
    spline: str = option("cubic", choices=("zero", "cubic"), help="Interpolation.")
    smooth: bool = option(False, help="Whether.")


@dataclass(frozen=True)
class Derived(Base):
    horizon: float = 3.0


def test_describe_keeps_order_and_derives_labels():
    described = describe(Base)
    assert list(described) == ["samples", "horizon", "spline", "smooth"]
    assert described["samples"].label == "Samples"
    assert described["samples"].static


def test_a_plain_default_in_a_subclass_keeps_the_facts():
    horizon = describe(Derived)["horizon"]
    assert (horizon.default, horizon.max, horizon.unit) == (3.0, 5.0, "s")
    assert Derived().horizon == 3.0


def test_a_field_without_facts_is_a_programming_error():
    @dataclass(frozen=True)
    class Plain:
        samples: int = 3

    with pytest.raises(TypeError, match="samples"):
        describe(Plain)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("samples", 1),
        ("samples", 65),
        ("samples", 3.5),
        ("samples", True),
        ("samples", "32"),
        ("samples", None),
        ("samples", 10**400),
        ("horizon", float("nan")),
        ("horizon", float("inf")),
        ("horizon", [1.0]),
        ("spline", "quintic"),
        ("spline", 3),
        ("smooth", 1),
    ],
)
def test_bad_values_are_refused_by_name_and_range(name, value):
    with pytest.raises(OptionError) as caught:
        updated(Base(), {name: value})
    assert name in str(caught.value)
    assert describe(Base)[name].expected in str(caught.value)


def test_unknown_names_get_a_suggestion():
    with pytest.raises(OptionError, match="did you mean horizon"):
        updated(Base(), {"horizn": 1.0})


def test_nothing_changes_when_one_of_several_is_bad():
    base = Base()
    with pytest.raises(OptionError):
        updated(base, {"samples": 8, "horizon": -1.0})
    assert base == Base()


@given(st.floats(0.1, 5.0))
def test_values_in_range_pass_unchanged(value):
    assert updated(Base(), {"horizon": value}).horizon == value


@given(st.one_of(st.floats(), st.integers(), st.text(), st.none(), st.booleans()))
def test_any_value_is_taken_in_range_or_refused(value):
    try:
        taken = updated(Base(), {"horizon": value}).horizon
    except OptionError:
        return
    assert 0.1 <= taken <= 5.0


def test_numpy_numbers_are_numbers():
    np = pytest.importorskip("numpy")
    assert updated(Base(), {"samples": np.int64(8)}).samples == 8
    assert updated(Base(), {"smooth": np.bool_(True)}).smooth is True


def test_expected_reads_well():
    assert Option("h", float, 1.0, min=0, max=1, unit="s").expected == "a number from 0 to 1 s"
    assert Option("h", int, 1, min=0).expected == "a whole number of at least 0"
    seed = Option("seed", int, 0, min=0, max=2**31 - 1)
    assert seed.expected == "a whole number from 0 to 2147483647"
