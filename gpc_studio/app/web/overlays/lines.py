"""Polylines as viser line segments that are updated in place.

The number of segments of a node stays fixed, since every other number would have to travel as
positions and colours in two messages that must match; unused segments have no length.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gpc_studio.app.web.overlays.colours import Rgb, line_colour

if TYPE_CHECKING:
    import viser


class Polylines:
    """Coloured polylines under one node name.

    Attributes:
        capacity: Segments of the node; grows when more are asked for, never shrinks.
    """

    def __init__(self, server: viser.ViserServer, name: str, thickness: float) -> None:
        """Args: server, node name, and thickness in pixels."""
        self.capacity = 0
        self._server = server
        self._name = name
        self._thickness = thickness
        self._node: viser.LineSegmentsHandle | None = None

    def update(self, points: np.ndarray, colours: np.ndarray | Rgb) -> None:
        """Draws polylines.

        Args:
            points: World frame, m (R, P, 3). A segment with an end that is not finite is left out.
            colours: sRGB on 0 to 255, one for all (3,) or one per polyline (R, 3).
        """
        points = np.asarray(points, dtype=np.float32)
        segments = np.stack([points[:, :-1], points[:, 1:]], 2)  # (R, P - 1, 2, 3)
        segments = segments.reshape(-1, 2, 3)
        rgb = line_colour(np.asarray(colours))
        per_segment = np.broadcast_to(
            rgb.reshape(-1, 1, 1, 3), (len(points), max(points.shape[1] - 1, 0), 2, 3)
        ).reshape(-1, 2, 3)
        kept = np.isfinite(segments).all((1, 2))
        self._assign(segments[kept], per_segment[kept])

    def reserve(self, segments: int) -> None:
        """Makes room for so many segments, so that the node need not be rebuilt later."""
        self.capacity = max(self.capacity, segments)

    def clear(self) -> None:
        """Draws nothing; the node stays, for the next update."""
        if self._node is not None:
            self._node.visible = False

    def remove(self) -> None:
        """Removes the node."""
        if self._node is not None:
            self._node.remove()
            self._node = None
        self.capacity = 0

    def _assign(self, segments: np.ndarray, colours: np.ndarray) -> None:
        count = len(segments)
        if count == 0:
            self.clear()
            return
        if count > self.capacity:
            self.capacity = max(count, self.capacity + self.capacity // 2)
        points = np.empty((self.capacity, 2, 3), np.float32)
        points[:count], points[count:] = segments, segments[-1, 1]
        rgb = np.zeros((self.capacity, 2, 3), np.uint8)
        rgb[:count] = colours
        with self._server.atomic():
            if self._node is None or len(self._node.points) != self.capacity:
                self._node = self._server.scene.add_line_segments(
                    self._name, points, rgb, thickness=self._thickness, thickness_units="screen"
                )
            else:
                self._node.points = points
                self._node.colors = rgb
                self._node.visible = True


def thinned(length: int, most: int) -> np.ndarray:
    """At most `most` indices of `length` points, evenly spread, first and last included."""
    if length <= most:
        return np.arange(length)
    return np.unique(np.round(np.linspace(0, length - 1, most)).astype(int))
