"""Coverage of the goal T by the T."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpc_studio.scenes import load_task
from gpc_studio.scenes.push_t.coverage import coverage, largest_offset

TASK = load_task("push_t")
SHAPE = TASK.footprint
AREA = 0.24 * 0.06 + 0.06 * 0.18

poses = st.tuples(st.floats(-0.3, 0.3), st.floats(-0.3, 0.3), st.floats(-7.0, 7.0))


def test_the_outline_is_the_t_about_its_centroid():
    assert SHAPE.area == pytest.approx(AREA)
    assert (SHAPE.centroid.x, SHAPE.centroid.y) == pytest.approx((0.0, 0.0), abs=1e-9)
    assert len(SHAPE.simplify(1e-9).exterior.coords) == 9  # eight corners, closed


def test_known_cases():
    here = (0.1, -0.2, 0.7)
    assert coverage(SHAPE, here, here) == pytest.approx(1.0)
    assert coverage(SHAPE, (0.1, -0.2, 0.7 + 2 * np.pi), here) == pytest.approx(1.0)
    assert coverage(SHAPE, (0.5, 0.0, 0.0), (-0.1, 0.0, 0.0)) == 0.0


def test_a_shift_along_the_bar():
    """Moved by d < 0.06 along its bar, the T loses d of the bar and d of the stem."""
    shift = 0.02
    expected = (0.06 * (0.24 - shift) + 0.18 * (0.06 - shift)) / AREA
    assert coverage(SHAPE, (shift, 0.0, 0.0), (0.0, 0.0, 0.0)) == pytest.approx(expected)


def test_a_half_turn():
    """Upside down about the centroid, the bars are apart and only the stems and bars cross."""
    bar_low, bar_high = 0.0514285714 - 0.03, 0.0514285714 + 0.03
    stem_low, stem_high = -0.0685714286 - 0.09, -0.0685714286 + 0.09
    stems = 0.06 * (min(stem_high, -stem_low) - max(stem_low, -stem_high))
    crossings = 2 * 0.06 * max(min(bar_high, -stem_low) - max(bar_low, -stem_high), 0.0)
    assert coverage(SHAPE, (0.0, 0.0, np.pi), (0.0, 0.0, 0.0)) == pytest.approx(
        (stems + crossings) / AREA, rel=1e-6
    )


@given(poses, poses)
@settings(max_examples=200, deadline=None)
def test_it_is_symmetric_and_a_share(first, second):
    share = coverage(SHAPE, first, second)
    assert 0.0 <= share <= 1.0
    assert share == pytest.approx(coverage(SHAPE, second, first), abs=1e-9)


@given(poses, poses, poses)
@settings(max_examples=100, deadline=None)
def test_moving_both_changes_nothing(first, second, motion):
    assert coverage(SHAPE, moved(first, motion), moved(second, motion)) == pytest.approx(
        coverage(SHAPE, first, second), abs=1e-9
    )


@given(st.floats(0.0, 2 * np.pi), st.floats(-np.pi, np.pi), st.floats(1.0001, 2.0))
@settings(max_examples=200, deadline=None)
def test_beyond_the_largest_offset_there_is_no_success(direction, turn, factor):
    distance = factor * largest_offset(SHAPE, 0.9)
    pose = (distance * np.cos(direction), distance * np.sin(direction), turn)
    assert coverage(SHAPE, pose, (0.0, 0.0, 0.0)) < 0.9


def test_it_agrees_with_counting_points():
    import shapely
    from shapely.affinity import rotate, translate

    rng = np.random.default_rng(0)
    points = rng.uniform(-0.2, 0.2, size=(200_000, 2))
    block = translate(rotate(SHAPE, 0.4, origin=(0, 0), use_radians=True), 0.02, -0.03)
    inside = shapely.contains_xy(SHAPE, *points.T)
    counted = np.mean(shapely.contains_xy(block, *points[inside].T))
    assert coverage(SHAPE, (0.02, -0.03, 0.4), (0.0, 0.0, 0.0)) == pytest.approx(counted, abs=0.01)


def moved(pose, motion):
    cosine, sine = np.cos(motion[2]), np.sin(motion[2])
    return (
        motion[0] + cosine * pose[0] - sine * pose[1],
        motion[1] + sine * pose[0] + cosine * pose[1],
        pose[2] + motion[2],
    )
