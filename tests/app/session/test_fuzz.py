"""Ten thousand values, good and bad, through the commands of one session."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
from policies import add_policy, use_library
from world import CartTask, until

from gpc_studio.options import OptionError, describe

BAD = [
    None, "", "many", "32", b"32", [], [1], {}, {"samples": 3}, (), set(), object(), print,
    math.nan, math.inf, -math.inf, 10**400, -(10**400), 10**5000, 1e308, -1e308, 1e-308,
    True, False, np.True_, np.nan, np.float32("inf"), np.array([1.0, 2.0]), np.zeros((0,)),
    complex(1, 2), 0.5, -1, 0, 2**63, 2**64, "x" * 10_000, "\0", "ä\n", range(3), Ellipsis,
]  # fmt: skip


NAMES = ("cart", "second")
"""Policies that there are."""


@pytest.fixture
def library(tmp_path, monkeypatch):
    use_library(monkeypatch, tmp_path)
    for name in NAMES:
        add_policy(CartTask(), name)


def value_for(option, rng):
    """A value: acceptable, just outside, or of another kind altogether."""
    draw = rng.random()
    if draw < 0.35:
        return rng.choice(BAD)
    if option.choices or option.dynamic:
        return rng.choice(option.choices or (*NAMES, "unknown", "/tmp/a.safetensors", "../b"))
    if option.kind is bool:
        return rng.random() < 0.5
    low = option.min if option.min is not None else -1e6
    high = option.max if option.max is not None else 1e6
    number = rng.uniform(low, high) if draw < 0.8 else rng.uniform(low - high, 3 * high)
    return round(number) if option.kind is int and rng.random() < 0.9 else number


def acceptable(option, value):
    """A second opinion on `Option.check`."""
    if option.dynamic:
        return isinstance(value, str) and value in NAMES
    if option.choices or option.kind is str:
        return isinstance(value, str) and (not option.choices or value in option.choices)
    if option.kind is bool:
        return isinstance(value, (bool, np.bool_))
    if not isinstance(value, (int, float, np.integer, np.floating)) or isinstance(value, bool):
        return False
    try:
        number = float(value)
    except OverflowError:
        return False
    if not math.isfinite(number) or (option.kind is int and number != int(number)):
        return False
    low = -math.inf if option.min is None else option.min
    high = math.inf if option.max is None else option.max
    return low <= number <= high


@pytest.mark.parametrize("controller", ["mppi", "gpc", "gpc_cem"])
def test_ten_thousand_values(new_session, factory, library, controller):
    rng = random.Random(0)
    refused = applied = 0
    with new_session(controller=controller) as session:
        session.wait_ready()
        options = describe(type(session.snapshot.options))
        for _ in range(10_000):
            name = rng.choice(list(options))
            value = value_for(options[name], rng)
            before = session._desk.request.options
            try:
                session.set_option(name, value)
            except OptionError as error:
                refused += 1
                text = str(error)
                if acceptable(options[name], value):
                    assert "samples times domains" in text  # the bound on memory
                elif options[name].dynamic:
                    assert text.startswith(f"{name}: expected ")
                else:
                    assert text.startswith(f"{name}: expected {options[name].expected}")
                assert session._desk.request.options == before
            else:
                applied += 1
                assert acceptable(options[name], value), (name, value)
                assert getattr(session._desk.request.options, name) == value
        assert refused > 3000
        assert applied > 3000
        final = session.wait_ready()
        assert final.options == session._desk.request.options
        assert not final.paused
        assert final.messages == ()
        assert len(factory.planners) < 200
        session.set_speed(4.0)
        begin = session.snapshot.state.time
        until(lambda: session.snapshot.state.time > begin + 0.1)


def test_other_commands_with_nonsense(new_session):
    with new_session() as session:
        session.wait_ready()
        for value in BAD:
            for call in (
                lambda v: session.set_weight("distance", v),
                lambda v: session.set_speed(v),
                lambda v: session.set_mode(v),
                lambda v: session.set_controller(v),
                lambda v: session.set_option(v, 1),
                lambda v: session.set_options(v),
                lambda v: session.set_options({v: 1}) if getattr(v, "__hash__", None) else None,
                lambda v: session.set_weights(v),
                lambda v: session.set_goal(v),
                lambda v: session.set_goal([0, 0, 0], v),
                lambda v: session.push(1, v, v),
                lambda v: session.push(v, [0, 0, 0], [0, 0, 0]),
                lambda v: session.reset(v),
                lambda v: session.rewind(v),
                lambda v: session.notify(v, "title", "text"),
            ):
                try:
                    call(value)
                except OptionError as error:
                    assert "expected" in str(error)
        until(lambda: session.snapshot.plan is not None)
        assert math.isfinite(session.snapshot.state.qpos[0])
        assert [m for m in session.snapshot.messages if m.level == "error"] == []
        assert session.wait_ready().controller == "mppi"
