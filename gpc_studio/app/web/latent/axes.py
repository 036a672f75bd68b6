"""Two axes through a cloud of points that changes all the time, and a scale for them.

Principal components computed anew for every cloud have any sign, change places when two of them
explain about as much, and would make the picture jump. These follow the cloud instead.
"""

from __future__ import annotations

import numpy as np

MEMORY = 0.95
"""Weight of the past in the running covariance, at each update."""

_CENTRE_PACE = 0.15
_PACE = 0.2  # share of the way to the newest plane that the axes go at each update
_TURN = np.radians(2.0)  # most that the axes turn within their plane at each update
_GROW, _SHRINK = 0.5, 0.03


class StableAxes:
    """The plane of the two leading principal components of the points seen lately.

    The covariance forgets slowly. The newest plane is turned onto the axes before (orthogonal
    Procrustes: the rotation or reflection that brings it closest), and the axes go part of the way
    to it; within the plane they turn slowly to where the points are spread most and least. So they
    never flip, and they become the principal components when the points let them.

    Attributes:
        axes: Orthonormal rows (2, d); None before the first points.
        centre: Running mean of the points (d,).
        explained: Share of the variance about the centre along each axis (2,).
    """

    def __init__(self) -> None:
        self.axes: np.ndarray | None = None
        self.centre = np.zeros(0)
        self.explained = np.zeros(2)
        self._covariance = np.zeros((0, 0))

    def update(self, points: np.ndarray) -> None:
        """Takes new points in; those that are not finite are left out.

        Args:
            points: (n, d), d at least 2; another d than before begins anew.
        """
        points = np.asarray(points, float)
        points = points[np.isfinite(points).all(axis=1)]
        if not len(points) or points.shape[1] < 2:
            return
        if self.axes is None or points.shape[1] != self.axes.shape[1]:
            self._begin(points)
            return
        self.centre += _CENTRE_PACE * (points.mean(axis=0) - self.centre)
        deviations = points - self.centre
        newest = deviations.T @ deviations / len(points)
        self._covariance = MEMORY * self._covariance + (1.0 - MEMORY) * newest
        plane = _leading(self._covariance)
        closest = _nearest_rotation(self.axes @ plane.T) @ plane
        axes = _nearest_rotation(self.axes + _PACE * (closest - self.axes))
        self.axes = _turned(axes, self._covariance)
        self._explain()

    def project(self, points: np.ndarray) -> np.ndarray:
        """Points (..., d) in the plane, relative to the centre (..., 2)."""
        assert self.axes is not None
        return (points - self.centre) @ self.axes.T

    def _begin(self, points: np.ndarray) -> None:
        self.centre = points.mean(axis=0)
        deviations = points - self.centre
        self._covariance = deviations.T @ deviations / len(points)
        axes = _leading(self._covariance)
        # Eigenvectors have any sign: the largest entry is positive.
        largest = np.abs(axes).argmax(axis=1)
        self.axes = axes * np.sign(axes[[0, 1], largest])[:, None]
        self._explain()

    def _explain(self) -> None:
        assert self.axes is not None
        along = np.einsum("ad,de,ae->a", self.axes, self._covariance, self.axes)
        self.explained = along / max(float(np.trace(self._covariance)), np.finfo(float).tiny)


class StableRange:
    """Half the width of a picture: grows quickly with what is to be seen, and shrinks slowly."""

    def __init__(self) -> None:
        self.half = 0.0

    def update(self, points: np.ndarray) -> float:
        """Makes room for nearly all points (..., 2); returns half the width."""
        reach = np.abs(points[np.isfinite(points)])
        if reach.size:
            wanted = max(1.15 * float(np.quantile(reach, 0.99)), 1e-6)
            pace = _GROW if wanted > self.half else _SHRINK
            self.half = wanted if self.half == 0.0 else self.half + pace * (wanted - self.half)
        return self.half


def _leading(covariance: np.ndarray) -> np.ndarray:
    """Eigenvectors of the two largest eigenvalues, largest first (2, d)."""
    return np.linalg.eigh(covariance)[1][:, :-3:-1].T


def _nearest_rotation(matrix: np.ndarray) -> np.ndarray:
    """The matrix with orthonormal rows that is closest to `matrix` (the polar factor)."""
    left, _, right = np.linalg.svd(matrix, full_matrices=False)
    return left @ right


def _turned(axes: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    """The axes turned a little, within their plane, towards the nearest principal directions."""
    (a, b), (_, c) = axes @ covariance @ axes.T
    angle = 0.5 * np.arctan2(2.0 * b, a - c)  # of the principal direction to the first axis
    angle = (angle + np.pi / 4) % (np.pi / 2) - np.pi / 4
    # In a round cloud all directions are alike, and the angle is noise.
    clear = np.hypot(2.0 * b, a - c) / max(a + c, np.finfo(float).tiny)
    angle = np.clip(angle, -_TURN, _TURN) * min(4.0 * clear, 1.0)
    cosine, sine = np.cos(angle), np.sin(angle)
    return np.array([[cosine, sine], [-sine, cosine]]) @ axes
