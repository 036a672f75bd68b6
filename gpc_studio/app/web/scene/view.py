"""One task's 3-D view: world, goal handle, rollouts, ghosts, path and pushes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gpc_studio.app.session.snapshot import Snapshot
from gpc_studio.app.web.overlays.options import OverlayOptions
from gpc_studio.app.web.overlays.path import ExecutedPath
from gpc_studio.app.web.overlays.push import PushCallback, PushTool
from gpc_studio.app.web.overlays.rollouts import RolloutLines
from gpc_studio.app.web.scene.backdrop import Backdrop, theme
from gpc_studio.app.web.scene.ghosts import Ghosts
from gpc_studio.app.web.scene.gizmo import GoalGizmo, MoveCallback
from gpc_studio.app.web.scene.world import World
from gpc_studio.controllers.plan import Plan
from gpc_studio.scenes.task import Task

if TYPE_CHECKING:
    import viser


@dataclass(frozen=True)
class SceneCallbacks:
    """What a user does in the 3-D view. The functions are called in order and must not block.

    Attributes:
        on_goal: The goal was moved: position (3,), m, and orientation, wxyz (4,), world frame.
        on_push: A body is pushed: body, point (3,), m, and force (3,), N, world frame.
        on_release: The push ended.
    """

    on_goal: MoveCallback
    on_push: PushCallback
    on_release: Callable[[], None]


class SceneView:
    """Everything three-dimensional of one task on one server.

    Make a new one when the task changes. One thread calls :meth:`draw`.

    Attributes:
        task: The task that is shown.
    """

    def __init__(
        self,
        server: viser.ViserServer,
        task: Task,
        callbacks: SceneCallbacks,
        prefix: str = "/",
        dark: bool = False,
    ) -> None:
        """Builds the view.

        Args:
            server: Where to draw.
            task: What to draw.
            callbacks: What to do with gestures.
            prefix: Start of all node names; views with different ones share a server.
            dark: Whether the surroundings are dark.
        """
        self.task = task
        self._server = server
        self._prefix = "/" + prefix.strip("/") + "/" if prefix.strip("/") else "/"
        self._last: tuple[Snapshot, OverlayOptions, Plan | None] | None = None
        self._drawn_plan: tuple[object, ...] = ()
        self._ghosts: Ghosts | None = None
        try:
            with server.atomic():
                self._build(callbacks, dark)
        except Exception:
            self._sweep()  # Half a view would stay on the page for good.
            server.scene.configure_default_lights(enabled=True)
            raise

    def draw(
        self, snapshot: Snapshot, overlay: OverlayOptions, on_the_way: Plan | None = None
    ) -> None:
        """Shows a snapshot. Costs next to nothing when no argument has changed.

        Args:
            snapshot: What to show.
            overlay: What to show besides the world.
            on_the_way: The policy's samples at an earlier flow time, in place of the plan's.

        Raises:
            ValueError: The snapshot is of another task.
        """
        if snapshot.task is not self.task:
            raise ValueError(
                f"expected a snapshot of {self.task.name}, got one of {snapshot.task.name}; "
                "make a new view for a new task"
            )
        self.push.refresh()
        previous = self._last
        if (
            previous is not None
            and previous[0] is snapshot
            and previous[1] == overlay
            and previous[2] is on_the_way
        ):
            return
        state = snapshot.state
        with self._server.atomic():
            self.backdrop.set_shadows(overlay.shadows)
            self.world.set_state(state.qpos, state.mocap_pos, state.mocap_quat)
            self.gizmo.visible = overlay.goal_handle
            self.gizmo.update(state.mocap_pos, state.mocap_quat)
            self.push.draw(snapshot.push if overlay.push else None)
            ink = theme(self.backdrop.dark).ink
            self.path.update(snapshot.path if overlay.path else None, ink)
            self._draw_plan(snapshot, overlay, on_the_way)
        self._last = snapshot, overlay, on_the_way

    def set_dark(self, dark: bool) -> None:
        """Changes the surroundings between dark and light."""
        self.backdrop.set_dark(dark)
        self._last = None

    def set_initial_camera(self) -> None:
        """Gives browsers that connect from now on, and "Reset view", the task's camera."""
        camera, initial = self.task.camera, self._server.initial_camera
        initial.position = camera.position
        initial.look_at = camera.look_at
        initial.fov = float(np.radians(camera.fov))

    def apply_camera(self, client: viser.ClientHandle) -> None:
        """Moves one browser's camera to the task's default view."""
        camera = self.task.camera
        with client.atomic():
            client.camera.fov = float(np.radians(camera.fov))
            client.camera.up_direction = (0.0, 0.0, 1.0)
            client.camera.position = camera.position
            client.camera.look_at = camera.look_at

    def remove(self) -> None:
        """Removes everything from the scene and ends a push in progress."""
        with self._server.atomic():
            self.push.remove()
            self.gizmo.remove()
            self.rollouts.remove()
            self.path.remove()
            if self._ghosts is not None:
                self._ghosts.remove()
                self._ghosts = None
            self.backdrop.remove()
            self.world.remove()
            self._sweep()

    def _build(self, callbacks: SceneCallbacks, dark: bool) -> None:
        server, prefix = self._server, self._prefix
        self.world = World(server, self.task.model, f"{prefix}world")
        ground = self.world.converted.ground
        self.backdrop = Backdrop(server, ground, f"{prefix}backdrop", dark)
        self.rollouts = RolloutLines(server, f"{prefix}plan")
        self.path = ExecutedPath(server, f"{prefix}plan")
        self.gizmo = GoalGizmo(server, self.task, f"{prefix}goal", callbacks.on_goal)
        self.push = PushTool(
            server, self.world, callbacks.on_push, callbacks.on_release, f"{prefix}plan"
        )

    def _sweep(self) -> None:
        """Removes whatever is left under the view's names."""
        for name in ("world", "backdrop", "plan", "goal", "ghosts"):
            node = self._server.scene.get_handle_by_name(f"{self._prefix}{name}")
            if node is not None:
                node.remove()

    def _draw_plan(
        self, snapshot: Snapshot, overlay: OverlayOptions, on_the_way: Plan | None
    ) -> None:
        """Redraws rollouts and ghosts if the plan, the options or the episode changed."""
        drawn = (snapshot.plan, on_the_way, overlay, snapshot.epoch)
        if (
            self._drawn_plan
            and drawn[0] is self._drawn_plan[0]
            and drawn[1] is self._drawn_plan[1]
            and drawn[2:] == self._drawn_plan[2:]
        ):
            return
        self._drawn_plan = drawn
        self.rollouts.update(snapshot.plan, overlay, on_the_way)
        plan = snapshot.plan
        if (
            plan is None
            or not overlay.ghosts
            or not np.isfinite(np.asarray(plan.cost)[int(plan.best)])
        ):
            if self._ghosts is not None:
                self._ghosts.visible = False
            return
        if self._ghosts is None or self._ghosts.count != overlay.ghost_count:
            if self._ghosts is not None:
                self._ghosts.remove()
            self._ghosts = Ghosts(
                self._server, self.task.model, overlay.ghost_count, f"{self._prefix}ghosts",
                self.world.converted,
            )  # fmt: skip
        self._ghosts.update(
            best_plan_states(plan, overlay.ghost_count),
            snapshot.state.mocap_pos, snapshot.state.mocap_quat, snapshot.state.qpos,
        )  # fmt: skip


def best_plan_states(plan: Plan, count: int) -> np.ndarray:
    """Positions (count, nq) evenly spaced in time along the best sample, ending at the horizon."""
    states = np.asarray(plan.qpos[int(plan.best)])  # (T + 1, nq)
    steps = np.round(np.linspace(0, len(states) - 1, count + 1)[1:]).astype(int)
    return states[steps]
