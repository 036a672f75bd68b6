"""Splines through knots: zero-order hold, linear, and cubic with not-a-knot ends.

Knots lie at `linspace(0, horizon, K)`. Before the first and after the last, the end knot is held,
so that shifting a plan again and again never extrapolates. Between the knots the cubic is that of
`scipy.interpolate.make_interp_spline(k=3)`; three knots give the parabola and two the straight
line through them, as lower degrees do there.

A spline is linear in its knots: its values are `basis @ knots`. The basis at times known
beforehand is computed once in float64 on the host (:func:`basis`); at traced times, as for the
shift of a warm start, it is computed in JAX (:func:`evaluate`).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import jax.numpy as jnp
import numpy as np

from gpc_studio.scenes.state import Array

# A time this close below a knot, in knot intervals, counts as on it: a zero-order hold must not
# fall back one knot because `k * dt` was rounded down.
_ON_KNOT = 1e-4


def knot_times(horizon: float, knots: int) -> np.ndarray:
    """Times of the knots relative to the start of the plan, s (K,)."""
    return np.linspace(0.0, horizon, knots)


def step_count(horizon: float, dt: float) -> int:
    """Number of controls of a plan, T, at times `k * dt`."""
    return max(1, round(horizon / dt))


@lru_cache(maxsize=256)
def basis(kind: str, knots: int, horizon: float, dt: float) -> np.ndarray:
    """Spline values at `k * dt`, k = 0 .. T-1, per unit of every knot (T, K), float64."""
    times = np.arange(step_count(horizon, dt)) * dt
    rows = _rows(np, kind, knots, times / horizon)
    rows.flags.writeable = False
    return rows


def resampling(kind: str, knots: int, horizon: float, times: np.ndarray) -> np.ndarray:
    """Spline values at times known beforehand, s, per unit of every knot (n, K), float64."""
    return _rows(np, kind, knots, np.asarray(times, np.float64) / horizon)


def evaluate(kind: str, values: Array, horizon: float, times: Array) -> Array:
    """Values at traced times of the spline through knots.

    Args:
        kind: "zero", "linear" or "cubic".
        values: Knots (K, nu).
        horizon: Time of the last knot, s.
        times: Times relative to the first knot, s (n,); may be negative or beyond the last.

    Returns:
        (n, nu).
    """
    return _rows(jnp, kind, values.shape[0], times / horizon) @ values


def shift(kind: str, values: Array, horizon: float, by: Array) -> Array:
    """Knots of the same plan seen `by` seconds later (K, nu); exact for no shift at all."""
    later = knot_times(horizon, values.shape[0]) + by
    return jnp.where(by == 0.0, values, evaluate(kind, values, horizon, later))


def _rows(xp: Any, kind: str, knots: int, fraction: Array) -> Array:
    """Basis (n, K) at times given as fractions of the horizon (n,)."""
    place = xp.clip(fraction, 0.0, 1.0) * (knots - 1)  # in knot intervals
    if kind == "zero":
        index = xp.floor(place + _ON_KNOT).astype(int)
        return xp.asarray(np.eye(knots))[index]
    index = xp.clip(xp.floor(place).astype(int), 0, knots - 2)
    u = (place - index)[:, None]  # in [0, 1]
    piece = xp.asarray(_pieces(kind, knots))[index]  # (n, 4, K)
    return piece[:, 0] + u * (piece[:, 1] + u * (piece[:, 2] + u * piece[:, 3]))


@lru_cache(maxsize=256)
def _pieces(kind: str, knots: int) -> np.ndarray:
    """Polynomial coefficients of every interval, per unit of every knot (K-1, 4, K).

    On interval i, `y = sum_j c[i, j] u^j` with u in [0, 1]; the coefficients follow from the
    second derivatives at the knots, which solve the tridiagonal continuity equations closed by
    the not-a-knot condition (third derivative continuous at the second and last but one knot).
    """
    y = np.eye(knots)
    m = np.zeros((knots, knots))  # second derivatives per unit of every knot
    if kind == "cubic" and knots == 3:
        m[:] = [1.0, -2.0, 1.0]
    elif kind == "cubic" and knots > 3:
        left, right = np.zeros((knots, knots)), np.zeros((knots, knots))
        for i in range(1, knots - 1):
            left[i, i - 1 : i + 2] = [1.0, 4.0, 1.0]
            right[i, i - 1 : i + 2] = [6.0, -12.0, 6.0]
        left[0, :3] = left[-1, -3:] = [1.0, -2.0, 1.0]
        m = np.linalg.solve(left, right)
    slope = y[1:] - y[:-1] - (2.0 * m[:-1] + m[1:]) / 6.0
    return np.stack([y[:-1], slope, m[:-1] / 2.0, (m[1:] - m[:-1]) / 6.0], axis=1)
