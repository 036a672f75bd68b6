"""The handle with which a user moves the goal, restricted to its degrees of freedom."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gpc_studio.app.web.scene.clearance import handle_offset
from gpc_studio.scenes.task import Goal

if TYPE_CHECKING:
    import mujoco
    import viser

    from gpc_studio.scenes.task import Task

MoveCallback = Callable[[np.ndarray, np.ndarray], None]
"""Position (3,), m, and orientation, wxyz (4,), world frame."""

IDENTITY = np.array([1.0, 0.0, 0.0, 0.0])
_AXES = ("x", "y", "z")
_WIDE = 1000.0  # m; stands for "no limit"
_SETTLE = 0.5  # s; how long a session may take to take up a goal that was let go


@dataclass(frozen=True)
class Control:
    """One transform control of the handle.

    Attributes:
        active: Which of the axes x, y, z it has.
        translates: Whether it has arrows along them (and a square between two).
        rotates: Whether it has a ring about each axis whose two partners are active.
    """

    active: tuple[bool, bool, bool]
    translates: bool
    rotates: bool


def controls_of(goal: Goal) -> list[Control]:
    """The controls that give a goal exactly its degrees of freedom.

    A control with active axes x and y can move along both and turn about z; what does not fit one
    control is split into one for moving and one per axis of turning.
    """
    moves = tuple(axis in goal.translate for axis in _AXES)
    turns = [axis in goal.rotate for axis in _AXES]
    implied = [moves[(k + 1) % 3] and moves[(k + 2) % 3] for k in range(3)]
    if any(moves) and any(turns) and turns == implied:
        return [Control(_triple(moves), translates=True, rotates=True)]
    if all(turns) and not any(moves):
        return [Control((True, True, True), translates=False, rotates=True)]
    found = [Control(_triple(moves), translates=True, rotates=False)] if any(moves) else []
    for axis in range(3):
        if turns[axis]:
            partners = _triple(tuple(k != axis for k in range(3)))
            found.append(Control(partners, translates=False, rotates=True))
    return found


def restricted(
    goal: Goal, position: np.ndarray, quaternion: np.ndarray, home: tuple[np.ndarray, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """The nearest pose that the goal's degrees of freedom and limits allow.

    Args:
        goal: Degrees of freedom and limits.
        position: Wished position, world frame, m (3,).
        quaternion: Wished orientation, wxyz (4,).
        home: Pose that keeps the locked degrees of freedom.

    Returns:
        Position (3,) and unit quaternion (4,).
    """
    moves = np.array([axis in goal.translate for axis in _AXES])
    wished = np.where(np.isfinite(position), position, home[0])
    allowed = np.where(moves, np.clip(wished, goal.low, goal.high), home[0])
    turned = _multiply(_unit(quaternion), _conjugate(_unit(home[1])))  # world-frame rotation
    if len(goal.rotate) < 3:
        # Swing-twist decomposition: only the part of the turn about allowed axes is kept.
        turned[1:] *= [axis in goal.rotate for axis in _AXES]
    return allowed, _multiply(_unit(turned), _unit(home[1]))


class GoalGizmo:
    """The goal's handle in every browser; one user's drag is not disturbed by the session.

    Attributes:
        mocap: Index of the goal's mocap pose, or -1.
        lift: Where the handle stands beside the goal, world frame, m (3,); see `clearance`.
    """

    def __init__(
        self,
        server: viser.ViserServer,
        task: Task,
        prefix: str = "/goal",
        on_move: MoveCallback | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Builds the handle; a task without a goal, or with a fixed one, has none.

        Args:
            server: Where to draw.
            task: Whose goal it is.
            prefix: Node-name prefix.
            on_move: Called with the goal's pose while it is dragged; it must not block.
            clock: Time, s; replaced in tests.
        """
        self._server = server
        self._goal = task.goal
        self._on_move = on_move
        self._clock = clock
        self._dragging: int | None = None
        self._sent: tuple[np.ndarray, np.ndarray, float] | None = None
        self._nodes: list[tuple[viser.TransformControlsHandle, Control, np.ndarray]] = []
        self.mocap = -1
        self.lift = np.zeros(3)
        if task.goal is None:
            return
        model = task.model
        body = model.body(task.goal.body)
        self.mocap = int(model.body_mocapid[body.id])
        if self.mocap < 0:
            raise ValueError(
                f"{task.name}: expected the goal body {task.goal.body!r} to be a mocap body; "
                'add mocap="true" to it in the model'
            )
        self._home = np.array(model.body_pos[body.id]), np.array(model.body_quat[body.id])
        self._pose = self._home
        # Large enough to reach around the goal, small enough to leave it in sight.
        extent, reach = float(model.stat.extent), _reach(model, body.id)
        arrows = float(np.clip(1.5 * reach, 0.08 * extent, 0.22 * extent))
        self.lift = handle_offset(model, task.goal, self._home[0], task.camera, arrows)
        for number, control in enumerate(controls_of(task.goal)):
            # A ring alone is put around the goal, where it is looked for.
            scale = arrows if control.translates else max(reach, arrows)
            offset = IDENTITY if control.translates else ring_offset(model, body.id, control)
            node = self._add(f"{prefix}/{number}", control, scale, offset)
            self._nodes.append((node, control, offset))

    @property
    def visible(self) -> bool:
        """Whether the handle is shown."""
        return any(node.visible for node, _, _ in self._nodes)

    @visible.setter
    def visible(self, visible: bool) -> None:
        for node, _, _ in self._nodes:
            node.visible = visible

    def update(self, mocap_pos: np.ndarray, mocap_quat: np.ndarray) -> None:
        """Follows the session's goal, unless a user holds the handle or has just let it go.

        Args:
            mocap_pos: Mocap positions, world frame, m (nmocap, 3).
            mocap_quat: Mocap orientations, wxyz (nmocap, 4).
        """
        if not self._nodes:
            return
        if self._dragging is not None:
            if self._dragging in self._server.get_clients():
                return
            self._dragging = None  # The browser that held it is gone.
        position = np.array(mocap_pos[self.mocap], dtype=float)
        quaternion = np.array(mocap_quat[self.mocap], dtype=float)
        if self._sent is not None:
            # Snapshots from before the drag are still on their way: following them would make the
            # handle jump back and forth.
            taken = np.allclose(self._sent[0], position, atol=1e-6) and np.allclose(
                abs(self._sent[1] @ quaternion), 1.0, atol=1e-9
            )
            if not taken and self._clock() - self._sent[2] < _SETTLE:
                return
            self._sent = None
        self._show(position, quaternion)

    def drag(self, client: int, phase: str, position: np.ndarray, quaternion: np.ndarray) -> None:
        """Takes one step of a drag of the handle.

        Args:
            client: Who drags.
            phase: "start", "update" or "end".
            position: Pose of the handle, world frame, m (3,).
            quaternion: wxyz (4,).
        """
        if self._goal is None or (self._dragging not in (None, client)):
            return
        self._dragging = None if phase == "end" else client
        if phase == "start":
            return
        pose = restricted(self._goal, np.array(position), np.array(quaternion), self._pose)
        self._pose = pose
        self._sent = (*pose, self._clock())
        if phase == "end":
            self._show(*pose)  # Back from beyond the limits.
        if self._on_move is not None:
            self._on_move(*pose)

    def remove(self) -> None:
        """Removes the handle."""
        for node, _, _ in self._nodes:
            node.remove()
        self._nodes = []

    def _show(self, position: np.ndarray, quaternion: np.ndarray) -> None:
        self._pose = position, quaternion
        with self._server.atomic():
            for node, control, offset in self._nodes:
                node.position = position + self.lift
                # A control that only moves keeps the world's axes.
                if control.rotates:
                    node.wxyz = _multiply(quaternion, offset)

    def _add(
        self, name: str, control: Control, scale: float, offset: np.ndarray
    ) -> viser.TransformControlsHandle:
        node = self._server.scene.add_transform_controls(
            name,
            scale=scale,
            line_width=3.0,
            active_axes=control.active,
            disable_axes=not control.translates,
            disable_sliders=not control.translates,
            disable_rotations=not control.rotates,
            depth_test=False,
            opacity=0.85,
            position=self._home[0] + self.lift,
            wxyz=_multiply(self._home[1], offset) if control.rotates else IDENTITY,
        )

        # A coroutine, so that the steps of a drag arrive in order.
        async def moved(event: viser.TransformControlsEvent) -> None:
            if event.client_id is None:
                return
            # What this control cannot change keeps the value that the others have given it.
            position = self._pose[0]
            if control.translates:
                position = event.target.position - self.lift
            quaternion = self._pose[1]
            if control.rotates:
                quaternion = _multiply(event.target.wxyz, _conjugate(offset))
            self.drag(event.client_id, event.phase, position, quaternion)

        node.on_update(moved)
        return node


def ring_offset(model: mujoco.MjModel, body: int, control: Control) -> np.ndarray:
    """Turn (wxyz) of a ring in the goal's frame that puts its arc at the goal's geoms.

    A ring is drawn as a quarter circle between the two active axes.
    """
    geoms = np.flatnonzero(model.geom_bodyid == body)
    plane = [k for k in range(3) if control.active[k]]
    if len(plane) != 2 or len(geoms) == 0:
        return IDENTITY
    axis = next(k for k in range(3) if k not in plane)
    first, second = (axis + 1) % 3, (axis + 2) % 3
    x, y = model.geom_pos[geoms].mean(0)[[first, second]]
    if np.hypot(x, y) < 0.1 * _reach(model, body):
        return IDENTITY
    turn = np.arctan2(y, x) - np.pi / 4
    out = np.array([np.cos(turn / 2), 0.0, 0.0, 0.0])
    out[1 + axis] = np.sin(turn / 2)
    return out


def _reach(model: mujoco.MjModel, body: int) -> float:
    """Distance from a body's origin to the far side of its geoms, m."""
    geoms = np.flatnonzero(model.geom_bodyid == body)
    if len(geoms) == 0:
        return 0.1
    far = np.linalg.norm(model.geom_pos[geoms], axis=1) + model.geom_rbound[geoms]
    return float(far.max())


def _triple(flags: tuple[bool, ...]) -> tuple[bool, bool, bool]:
    x, y, z = flags
    return x, y, z


def _unit(quaternion: np.ndarray) -> np.ndarray:
    quaternion = np.asarray(quaternion, dtype=float)
    norm = float(np.linalg.norm(quaternion))
    return quaternion / norm if norm > 1e-9 else np.array([1.0, 0.0, 0.0, 0.0])


def _conjugate(quaternion: np.ndarray) -> np.ndarray:
    return quaternion * [1.0, -1.0, -1.0, -1.0]


def _multiply(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Hamilton product of quaternions wxyz (4,)."""
    real = a[0] * b[0] - a[1:] @ b[1:]
    return np.concatenate([[real], a[0] * b[1:] + b[0] * a[1:] + np.cross(a[1:], b[1:])])
