"""The plant: the MuJoCo world that plans are executed on. No threads in here."""

from __future__ import annotations

import copy
from collections import deque
from typing import NamedTuple

import mujoco
import numpy as np

from gpc_studio.app.session.goal import allowed_position, allowed_rotation
from gpc_studio.app.session.push import push_limit
from gpc_studio.scenes.state import State
from gpc_studio.scenes.task import Task

OBSERVE_SECONDS = 0.02  # grid of the success test and of the drawn path, s of simulation
PATH_SECONDS = 5.0

_STATE = int(mujoco.mjtState.mjSTATE_INTEGRATION)
_FATAL = [
    int(kind)
    for kind in (
        mujoco.mjtWarning.mjWARN_BADQPOS,
        mujoco.mjtWarning.mjWARN_BADQVEL,
        mujoco.mjtWarning.mjWARN_BADQACC,
        mujoco.mjtWarning.mjWARN_BADCTRL,
    )
]
_FATAL_NAMES = ("position", "velocity", "acceleration", "control")


class PlantDivergedError(RuntimeError):
    """The simulation produced something that is not finite, or huge.

    The plant is back at its last sound state when this is raised.
    """


class Execution(NamedTuple):
    """Controls in force.

    Attributes:
        step: Number of the step that the first control belongs to.
        controls: (T, nu), actuator units; the last one is held.
    """

    step: int
    controls: np.ndarray

    def at(self, step: int) -> np.ndarray:
        """Control at a step (nu,)."""
        return self.controls[min(max(step - self.step, 0), len(self.controls) - 1)]


class PlantState(NamedTuple):
    """Full state of a plant.

    Attributes:
        step: Number of steps since the reset.
        time: Simulation time, s.
        values: `mjSTATE_INTEGRATION`.
        success_since: Step since which the success test holds, or None.
    """

    step: int
    time: float
    values: np.ndarray
    success_since: int | None


class Plant:
    """A world of a task.

    Sensors are made current on a copy of the state (`mj_forward` on a second `MjData`, about
    6 us on a small model): `mj_step` leaves readings of the state before the step, and computing
    them on the plant itself would change its solver warm start, and so the motion.

    Attributes:
        task: The task.
        step: Number of steps since the reset.
        edits: Counts changes from outside (goal, push, reset, restore).
        success: Whether the success test has held for `Task.success_hold`.
        progress: `Task.progress` at the last observation.
        push_limit: Largest force of a push, N.
    """

    def __init__(self, task: Task, seed: int) -> None:
        """Makes the world and resets it."""
        self.task = task
        # MuJoCo would hide a divergence by going back to the initial state.
        self.model = copy.deepcopy(task.model)
        self.model.opt.disableflags |= int(mujoco.mjtDisableBit.mjDSBL_AUTORESET)
        self._data = mujoco.MjData(self.model)
        self._scratch = mujoco.MjData(self.model)
        self._sound = np.empty(mujoco.mj_stateSize(self.model, _STATE))
        self._copy = np.empty_like(self._sound)
        self.dt = float(self.model.opt.timestep)
        self._observe_every = max(1, round(OBSERVE_SECONDS / self.dt))
        paths = int(PATH_SECONDS / (self._observe_every * self.dt))
        self._path: deque[tuple[int, np.ndarray]] = deque(maxlen=max(2, paths))
        self.push_limit = push_limit(self.model)
        self._push: tuple[int, np.ndarray, np.ndarray] | None = None
        self._state: State | None = None
        self.step = 0
        self.edits = 0
        self.success = False
        self.progress: dict[str, float] = {}
        self._success_since: int | None = None
        self.hold = np.zeros(task.nu)
        self.reset(seed)

    @property
    def time(self) -> float:
        """Simulation time, s."""
        return float(self._data.time)

    @property
    def control(self) -> np.ndarray:
        """Control in force (nu,)."""
        return self._data.ctrl.copy()

    @property
    def path(self) -> np.ndarray:
        """Recent paths of the traced points, oldest first, world frame, m (M, S, 3)."""
        points = len(self.task.trace_columns)
        if not self._path:
            return np.zeros((0, points, 3))
        return np.stack([point for _, point in self._path])

    @property
    def push(self) -> np.ndarray | None:
        """World point, m, and force, N, of the push (2, 3), or None."""
        if self._push is None:
            return None
        body, local, force = self._push
        return np.stack([self._world_point(body, local), force])

    def reset(self, seed: int) -> None:
        """Starts an episode from the task's own distribution of start states."""
        start = self.task.reset(np.random.default_rng(seed))
        data = self._data
        mujoco.mj_resetData(self.model, data)
        data.qpos[:] = start.qpos
        data.qvel[:] = start.qvel
        if start.mocap_pos is not None:
            data.mocap_pos[:] = start.mocap_pos
        if start.mocap_quat is not None:
            data.mocap_quat[:] = start.mocap_quat
        mujoco.mj_forward(self.model, data)
        self.step = 0
        self._push = None
        self._success_since = None
        self._path.clear()
        self._changed()
        low, high = self.task.control_range
        self.hold = np.clip(np.asarray(self.task.hold_control(self.state()), float), low, high)
        data.ctrl[:] = self.hold
        self.observe()

    def advance(self, count: int, execution: Execution | None) -> int:
        """Takes up to `count` steps, at most to the next observation.

        Args:
            count: Steps wanted.
            execution: Controls to apply; None holds still.

        Returns:
            Steps taken.

        Raises:
            PlantDivergedError: The state is not sound any more; the plant is back where it was.
        """
        model, data = self.model, self._data
        count = min(count, self._observe_every - self.step % self._observe_every)
        mujoco.mj_getState(model, data, self._sound, _STATE)
        begin = self.step
        for step in range(begin, begin + count):
            data.ctrl[:] = self.hold if execution is None else execution.at(step)
            if self._push is not None:
                self._apply_push()
            mujoco.mj_step(model, data)
        self.step += count
        self._state = None
        problem = self._problem()
        if problem:
            time = self.time
            self._set(self._sound)
            self.step = begin
            raise PlantDivergedError(f"{problem} at {time:.3f} s")
        if self.step % self._observe_every == 0:
            self.observe()
        return count

    def observe(self) -> None:
        """Runs the success test, measures progress and adds to the path."""
        state = self.state()
        if not self.task.is_success(state):
            self._success_since = None
        elif self._success_since is None:
            self._success_since = self.step
        since = self._success_since
        self.success = since is not None and (
            (self.step - since) * self.dt >= self.task.success_hold - 1e-9
        )
        self.progress = dict(self.task.progress(state))
        if len(self.task.trace_columns):
            self._path.append((self.step, state.sensordata[self.task.trace_columns]))

    def state(self) -> State:
        """The state with current sensors; never written to."""
        if self._state is None:
            mujoco.mj_getState(self.model, self._data, self._copy, _STATE)
            mujoco.mj_setState(self.model, self._scratch, self._copy, _STATE)
            mujoco.mj_forward(self.model, self._scratch)
            state = State.from_data(self._scratch)
            # The time in MjData is a plain number, but NumPy shows it as a view.
            self._state = state._replace(time=np.array(self._data.time))
        return self._state

    def save(self) -> PlantState:
        """Everything that decides how the world goes on."""
        values = np.empty_like(self._sound)
        mujoco.mj_getState(self.model, self._data, values, _STATE)
        return PlantState(self.step, self.time, values, self._success_since)

    def restore(self, saved: PlantState) -> None:
        """Goes back to a state of this world; a push ends."""
        self._set(saved.values)
        self.step = saved.step
        self._push = None
        self._data.xfrc_applied[:] = 0.0
        self._success_since = saved.success_since
        while self._path and self._path[-1][0] >= saved.step:
            self._path.pop()
        self._changed()
        self.observe()

    def move_goal(self, position: np.ndarray | None, quaternion: np.ndarray | None) -> None:
        """Moves the goal as far as its limits and degrees of freedom allow; None leaves it."""
        goal = self.task.goal
        if goal is None:
            return
        mocap = int(self.model.body(goal.body).mocapid[0])
        data = self._data
        if position is not None:
            data.mocap_pos[mocap] = allowed_position(goal, position, data.mocap_pos[mocap])
        if quaternion is not None:
            data.mocap_quat[mocap] = allowed_rotation(goal, quaternion, data.mocap_quat[mocap])
        self._changed()

    def set_push(self, body: int, point: np.ndarray, force: np.ndarray) -> None:
        """Pushes a body at a point that then moves with it, until `release_push`.

        Args:
            body: Number of the body.
            point: World frame, m (3,).
            force: World frame, N (3,); scaled down to `push_limit`.
        """
        size = float(np.linalg.norm(force))
        if size > self.push_limit:
            force = force * (self.push_limit / size)
        rotation = self._data.xmat[body].reshape(3, 3)
        self._clear_force()
        self._push = (body, rotation.T @ (point - self._data.xpos[body]), force)

    def release_push(self) -> None:
        """Ends the push."""
        self._clear_force()
        self._push = None

    def _apply_push(self) -> None:
        assert self._push is not None
        body, local, force = self._push
        arm = self._world_point(body, local) - self._data.xipos[body]
        self._data.xfrc_applied[body] = np.concatenate([force, np.cross(arm, force)])

    def _clear_force(self) -> None:
        if self._push is not None:
            self._data.xfrc_applied[self._push[0]] = 0.0

    def _world_point(self, body: int, local: np.ndarray) -> np.ndarray:
        return self._data.xpos[body] + self._data.xmat[body].reshape(3, 3) @ local

    def _set(self, values: np.ndarray) -> None:
        mujoco.mj_setState(self.model, self._data, values, _STATE)
        self._data.warning.number[:] = 0
        mujoco.mj_kinematics(self.model, self._data)
        mujoco.mj_comPos(self.model, self._data)
        self._state = None

    def _changed(self) -> None:
        self._state = None
        self.edits += 1

    def _problem(self) -> str:
        """What is wrong with the state, or ""."""
        data = self._data
        numbers = data.warning.number
        for kind, name in zip(_FATAL, _FATAL_NAMES, strict=True):
            if numbers[kind]:
                return f"a {name} that is not finite, or huge"
        if not (np.isfinite(data.qpos).all() and np.isfinite(data.qvel).all()):
            return "a state that is not finite"
        return ""
