import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from gpc_studio.app.evaluate.statistics import mean_and_sd, median, wilson_interval


def test_wilson_of_85_in_100():
    low, high = wilson_interval(85, 100)
    assert low == pytest.approx(0.7672, abs=1e-4)
    assert high == pytest.approx(0.9069, abs=1e-4)


def test_wilson_at_the_ends():
    z = 1.959963984540054
    assert wilson_interval(10, 10) == (pytest.approx(10 / (10 + z**2)), 1.0)
    assert wilson_interval(0, 10) == (0.0, pytest.approx(z**2 / (10 + z**2)))
    assert wilson_interval(0, 0) == (0.0, 1.0)


@given(st.integers(1, 500), st.floats(0, 1))
def test_wilson_is_scipys(trials, part):
    successes = round(part * trials)
    expected = binomtest(successes, trials).proportion_ci(0.95, method="wilson")
    low, high = wilson_interval(successes, trials)
    assert low == pytest.approx(expected.low, abs=1e-9)
    assert high == pytest.approx(expected.high, abs=1e-9)
    assert 0.0 <= low <= successes / trials <= high <= 1.0


@pytest.mark.parametrize(("successes", "trials"), [(-1, 3), (4, 3)])
def test_wilson_refuses_impossible_counts(successes, trials):
    with pytest.raises(ValueError, match="0 <= successes <= trials"):
        wilson_interval(successes, trials)


def test_mean_sd_and_median():
    assert mean_and_sd([2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0]) == (
        5.0,
        pytest.approx((32 / 7) ** 0.5),
    )
    assert mean_and_sd([3.0]) == (3.0, None)
    assert mean_and_sd([]) == (None, None)
    assert median([5.0, 1.0, 2.0]) == 2.0
    assert median([]) is None
