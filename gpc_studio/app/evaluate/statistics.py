"""Figures of a set of episodes."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

_Z95 = 1.959963984540054  # 97.5 % quantile of the normal distribution


def wilson_interval(successes: int, trials: int, z: float = _Z95) -> tuple[float, float]:
    """Wilson score interval of a proportion.

    Unlike the textbook interval it stays within [0, 1] and is meaningful at 0 and 100 %.

    Args:
        successes: Number of successes.
        trials: Number of trials.
        z: Quantile of the normal distribution; the default gives 95 % coverage.

    Returns:
        Lower and upper bound; (0, 1) without trials.

    Raises:
        ValueError: The counts are not `0 <= successes <= trials`.

    Source: E. B. Wilson, "Probable inference, the law of succession, and statistical inference",
    Journal of the American Statistical Association 22 (1927).
    """
    if not 0 <= successes <= trials:
        raise ValueError(f"expected 0 <= successes <= trials, got {successes} of {trials}")
    if trials == 0:
        return 0.0, 1.0
    p = successes / trials
    shrink = 1.0 + z**2 / trials
    centre = (p + z**2 / (2 * trials)) / shrink
    half = z / shrink * math.sqrt(p * (1.0 - p) / trials + z**2 / (4 * trials**2))
    # At the ends the bound is exact; rounding must not move it.
    low = 0.0 if successes == 0 else centre - half
    high = 1.0 if successes == trials else centre + half
    return low, high


def mean_and_sd(values: Sequence[float]) -> tuple[float | None, float | None]:
    """Mean and sample standard deviation (n - 1); None where there are too few values."""
    mean = statistics.fmean(values) if values else None
    sd = statistics.stdev(values) if len(values) > 1 else None
    return mean, sd


def median(values: Sequence[float]) -> float | None:
    """Median, or None without values."""
    return statistics.median(values) if values else None
