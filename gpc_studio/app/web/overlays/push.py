"""Pushing a body with the mouse: ctrl-drag pulls it like a spring towards the pointer."""

from __future__ import annotations

import threading
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from gpc_studio.app.session import push_limit
from gpc_studio.app.web.overlays.colours import PUSH

if TYPE_CHECKING:
    import viser

    from gpc_studio.app.web.scene.world import World

PushCallback = Callable[[int, np.ndarray, np.ndarray], None]
"""Body, point and force, both (3,) in the world frame, m and N."""


def spring_force(start: np.ndarray, end: np.ndarray, limit: float, reach: float) -> np.ndarray:
    """Force (3,), N, of a spring from `start` to `end`, m, that meets its limit at `reach`, m."""
    pull = np.asarray(end, dtype=float) - np.asarray(start, dtype=float)
    if not np.isfinite(pull).all():
        return np.zeros(3)
    force = pull * (limit / reach)
    norm = float(np.linalg.norm(force))
    return force * (limit / norm) if norm > limit else force


@dataclass(frozen=True)
class _Drag:
    """A push in progress.

    Attributes:
        client: Who drags.
        body: What is dragged.
        start: The point held when the drag started, world frame, m (3,).
        pointer: Where the pointer is, world frame, m (3,).
        held: The point held, in the body's frame (3,); None until the next drawing.
    """

    client: int
    body: int
    start: np.ndarray
    pointer: np.ndarray
    held: np.ndarray | None = None


class PushTool:
    """Turns ctrl-drags on the bodies of a world into forces, and draws the force in action."""

    def __init__(
        self,
        server: viser.ViserServer,
        world: World,
        on_push: PushCallback,
        on_release: Callable[[], None],
        prefix: str = "/plan",
    ) -> None:
        """Makes every body with degrees of freedom draggable.

        Args:
            server: Where to draw.
            world: The nodes to drag.
            on_push: Called with body, point and force; it must not block.
            on_release: Called when the push ends; it must not block.
            prefix: Node-name prefix of the arrow.
        """
        self._server = server
        self._world = world
        self._on_push = on_push
        self._on_release = on_release
        self._name = f"{prefix}/push"
        self._reach = 0.3 * float(world.model.stat.extent)
        self._limit = push_limit(world.model)
        # The event loop drags, another thread refreshes: what is remembered and what the session
        # is told change together, or a push could follow its own release and stay for good.
        self._lock = threading.Lock()
        self._drag: _Drag | None = None
        self._arrow: viser.ArrowsHandle | None = None
        self._sent: np.ndarray | None = None
        for body, handle in world.handles.items():
            if world.model.body_mocapid[body] < 0:
                handle.on_drag("left", modifier="cmd/ctrl")(self._dragger(body))

    @property
    def active(self) -> bool:
        """Whether someone is pushing."""
        return self._drag is not None

    def _dragger(self, body: int) -> Callable[[viser.SceneNodeDragEvent], Coroutine]:
        # Callbacks that are coroutines run in order on the event loop; plain ones may overtake.
        async def dragged(event: viser.SceneNodeDragEvent) -> None:
            self.drag(event.client_id, body, event.phase, event.start_position, event.end_position)

        return dragged

    def drag(
        self,
        client: int,
        body: int,
        phase: str,
        start: tuple[float, float, float],
        end: tuple[float, float, float],
    ) -> None:
        """Takes one step of a drag gesture; a second browser's drag waits for the first's end.

        Args:
            client: Who drags.
            body: What is dragged.
            phase: "start", "update" or "end".
            start: The point held, now, world frame, m.
            end: The pointer, world frame, m.
        """
        pointer = np.asarray(end, dtype=float)
        with self._lock:
            drag = self._drag
            if drag is not None and drag.client != client:
                return
            if phase == "end":
                self._release()
            elif drag is None or phase == "start":
                self._drag = _Drag(client, body, np.asarray(start, dtype=float), pointer)
            else:
                self._drag = replace(drag, pointer=pointer)

    def refresh(self) -> None:
        """Sends the force for the body's present pose; ends the push of a vanished browser.

        Called for every picture: the pointer only reports its own motion while the body moves on,
        and poses may only be read by the thread that computes them.
        """
        with self._lock:
            drag = self._drag
            if drag is None:
                return
            if drag.client not in self._server.get_clients():
                self._release()
                return
            data = self._world.kinematics.data
            frame, origin = data.xmat[drag.body].reshape(3, 3), data.xpos[drag.body]
            held = frame.T @ (drag.start - origin) if drag.held is None else drag.held
            point = origin + frame @ held
            force = spring_force(point, drag.pointer, self._limit, self._reach)
            self._drag = replace(drag, held=held)
            sent = np.stack([point, force])
            if self._sent is None or not np.array_equal(sent, self._sent):
                self._sent = sent
                self._on_push(drag.body, point, force)

    def draw(self, push: np.ndarray | None) -> None:
        """Draws a push (2, 3): point, m, and force, N, world frame; nothing for None."""
        if push is None or not np.isfinite(push).all() or not np.any(push[1]):
            if self._arrow is not None:
                self._arrow.visible = False
            return
        vector = self._arrow_vector(push[1])
        points = np.stack([push[0], push[0] + vector])[None].astype(np.float32)
        size = 0.012 * float(self._world.model.stat.extent)
        head = min(3.5 * size, 0.5 * float(np.linalg.norm(vector)))
        if self._arrow is None:
            self._arrow = self._server.scene.add_arrows(
                self._name, points, PUSH,
                shaft_radius=0.6 * size, head_radius=1.6 * size, head_length=head,
            )  # fmt: skip
            return
        self._arrow.points = points
        self._arrow.head_length = head
        self._arrow.visible = True

    def remove(self) -> None:
        """Ends a push and removes the arrow; the bodies go with their world."""
        with self._lock:
            self._release()
        if self._arrow is not None:
            self._arrow.remove()
            self._arrow = None

    def _release(self) -> None:
        """Ends the push, if there is one; the lock is held."""
        if self._drag is not None:
            self._drag = self._sent = None
            self._on_release()

    def _arrow_vector(self, force: np.ndarray) -> np.ndarray:
        """The arrow of a force: as long as the spring is stretched."""
        return np.asarray(force, dtype=float) * (self._reach / self._limit)
