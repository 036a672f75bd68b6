from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from gpc_studio.app.session.goal import allowed_position, allowed_rotation, conjugate, multiply
from gpc_studio.scenes import Goal

numbers = st.floats(-1, 1, allow_nan=False)
quaternions = (
    st.tuples(numbers, numbers, numbers, numbers)
    .filter(lambda q: np.linalg.norm(q) > 0.1)
    .map(lambda q: np.array(q) / np.linalg.norm(q))
)


def turn_of(goal, wanted, current):
    return multiply(allowed_rotation(goal, wanted, current), conjugate(current))


@given(quaternions, quaternions, st.sampled_from("xyz"))
def test_one_axis_turns_about_that_axis_only(wanted, current, axis):
    turn = turn_of(Goal("g", rotate=(axis,)), wanted, current)
    locked = [i for i, name in enumerate("xyz") if name != axis]
    assert np.allclose(turn[1:][locked], 0, atol=1e-9)
    assert np.isclose(np.linalg.norm(turn), 1)


@given(quaternions, st.floats(-3, 3))
def test_a_turn_about_the_free_axis_is_taken_whole(current, angle):
    turn = np.array([np.cos(angle / 2), 0, np.sin(angle / 2), 0])
    got = turn_of(Goal("g", rotate=("y",)), multiply(turn, current), current)
    assert np.isclose(abs(got @ turn), 1)


@given(quaternions, quaternions)
def test_free_and_fixed_goals(wanted, current):
    assert np.array_equal(allowed_rotation(Goal("g"), wanted, current), current)
    free = Goal("g", rotate=("x", "y", "z"))
    assert np.array_equal(allowed_rotation(free, wanted, current), wanted)


@given(quaternions, quaternions)
def test_two_axes_leave_no_twist_about_the_third(wanted, current):
    turn = turn_of(Goal("g", rotate=("x", "y")), wanted, current)
    assert np.isclose(np.linalg.norm(turn), 1)
    if np.hypot(turn[0], turn[3]) > 1e-6:
        assert abs(turn[3]) < 1e-6


@given(st.tuples(numbers, numbers, numbers), st.floats(0.0, 0.5))
def test_positions_stay_inside_and_on_their_axes(position, limit):
    goal = Goal("g", translate=("x", "z"), low=(-limit,) * 3, high=(limit,) * 3)
    got = allowed_position(goal, np.array(position), np.array([9.0, 9.0, 9.0]))
    assert got[1] == 9.0
    assert np.all(np.abs(got[[0, 2]]) <= limit)
