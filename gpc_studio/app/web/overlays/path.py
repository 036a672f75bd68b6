"""The path that was travelled."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gpc_studio.app.web.overlays.colours import Rgb
from gpc_studio.app.web.overlays.lines import Polylines, thinned

if TYPE_CHECKING:
    import viser

_POINTS = 200


class ExecutedPath:
    """Recent paths of the traced points as lines."""

    def __init__(self, server: viser.ViserServer, prefix: str = "/plan") -> None:
        """Args: server and node-name prefix."""
        self.lines = Polylines(server, f"{prefix}/path", thickness=2.5)
        self._drawn: np.ndarray | None = None
        self._colour: Rgb | None = None

    def update(self, path: np.ndarray | None, colour: Rgb) -> None:
        """Draws a path (M, S, 3), oldest point first, world frame, m; nothing for None."""
        if path is self._drawn and colour == self._colour:
            return
        self._drawn, self._colour = path, colour
        if path is None or len(path) < 2:
            self.lines.clear()
            return
        path = np.asarray(path)
        points = path[thinned(len(path), _POINTS)]
        # The path grows from two points to many: room for all of it from the start.
        self.lines.reserve((_POINTS - 1) * path.shape[1])
        self.lines.update(points.transpose(1, 0, 2), colour)

    def remove(self) -> None:
        """Removes the node."""
        self.lines.remove()
