"""What a task is: a model, cost terms, a goal, an observation, a reset and a success test."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from gpc_studio.scenes.state import Array, InitialState, State

if TYPE_CHECKING:
    import mujoco

    from gpc_studio.scenes.dynamics import Dynamics


@dataclass(frozen=True)
class Weight:
    """Weight of one cost term: its default, the range of its slider, and one line of help."""

    default: float
    max: float
    help: str
    min: float = 0.0


@dataclass(frozen=True)
class Goal:
    """Which degrees of freedom of the goal (a mocap body) a user may move.

    Attributes:
        body: Name of the mocap body.
        translate: World axes along which it moves, out of "x", "y", "z".
        rotate: World axes about which it turns.
        low: Lower position limits, world frame, m (3,).
        high: Upper position limits, world frame, m (3,).
    """

    body: str
    translate: tuple[str, ...] = ()
    rotate: tuple[str, ...] = ()
    low: tuple[float, float, float] = (-np.inf, -np.inf, -np.inf)
    high: tuple[float, float, float] = (np.inf, np.inf, np.inf)


@dataclass(frozen=True)
class Randomisation:
    """A physical parameter that domain randomisation perturbs.

    Attributes:
        field: Field of `mujoco.MjModel`, one of `mujoco.batch.MODEL_FIELDS`.
        low: Smallest factor.
        high: Largest factor.
        names: Names of the bodies, joints, geoms or actuators concerned; empty: all.
        columns: Columns of the field concerned; empty: all.
        help: One line: what a person would call it.
    """

    field: str
    low: float
    high: float
    names: tuple[str, ...] = ()
    columns: tuple[int, ...] = ()
    help: str = ""


@dataclass(frozen=True)
class Camera:
    """Where a viewer stands at first: positions in the world frame, m; field of view in degrees."""

    position: tuple[float, float, float]
    look_at: tuple[float, float, float]
    fov: float = 45.0


@dataclass(frozen=True)
class Mirror:
    """A mirror symmetry of a task, by signs: the mirror image of a good plan is a good plan.

    Attributes:
        observation: Sign of every entry of `Task.observe` under the mirror (nobs,).
        control: Sign of every control in the policy frame under the mirror (nu,).
    """

    observation: tuple[int, ...]
    control: tuple[int, ...]


class Task(ABC):
    """One control problem.

    A subclass sets the class attributes and writes the four abstract methods. `cost_terms`,
    `terminal_terms`, `observe` and `hold_control` must be pure JAX functions of one state: they
    are traced, vectorised over samples, and run on every engine. `reset` and `is_success` run on
    the host with NumPy.

    The cost of a trajectory is `sum_t dt * running(x_t, u_t) + terminal(x_T)`, each a weighted sum
    of named terms. The terminal part is not scaled by dt. Names of running and terminal terms must
    differ, since each has one weight.

    Attributes:
        name: Identifier, also the folder in `scenes/`.
        title: Name that people see.
        summary: One line.
        mjcf: Model file; a relative path is taken from the file of the class that says it.
        weights: Weight of every cost term, running and terminal, in display order.
        traces: Names of `framepos` sensors whose paths are drawn.
        goal: The goal that a user can move, or None.
        randomisations: What domain randomisation perturbs.
        success_hold: Time, s, that `is_success` must hold without a break.
        episode_seconds: Length of an evaluation episode, s.
        camera: Default view.
        mirror: Mirror symmetry that training data are doubled with, or None.
        policies_of: Names of further tasks whose learned policies this one takes as they are; it
            must have their observation and their controls.
        defaults: Option values by controller name, `"*"` for all of them, as in
            `{"*": {"horizon": 1.0}, "mppi": {"temperature": 0.1}}`.
        training: Option values of training and collecting, by method or "collect", as in
            `{"gpc": {"iterations": 20}}`; see `gpc-studio train`.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    summary: ClassVar[str]
    mjcf: ClassVar[str]
    weights: ClassVar[Mapping[str, Weight]]
    traces: ClassVar[tuple[str, ...]] = ()
    goal: ClassVar[Goal | None] = None
    randomisations: ClassVar[tuple[Randomisation, ...]] = ()
    success_hold: ClassVar[float] = 0.0
    episode_seconds: ClassVar[float] = 10.0
    camera: ClassVar[Camera] = Camera((2.5, -2.5, 2.0), (0.0, 0.0, 0.5))
    mirror: ClassVar[Mirror | None] = None
    policies_of: ClassVar[tuple[str, ...]] = ()
    defaults: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    training: ClassVar[Mapping[str, Mapping[str, Any]]] = {}

    @abstractmethod
    def cost_terms(self, state: State, control: Array) -> dict[str, Array]:
        """Running cost terms, unweighted, per second.

        Args:
            state: One state, sensors current.
            control: Control applied at it, actuator units (nu,).

        Returns:
            Scalars by name; the names are the same at every call.
        """

    @abstractmethod
    def terminal_terms(self, state: State) -> dict[str, Array]:
        """Terminal cost terms, unweighted. Scalars by name, disjoint from `cost_terms`."""

    @abstractmethod
    def reset(self, rng: np.random.Generator) -> InitialState:
        """Draws a start state."""

    @abstractmethod
    def is_success(self, state: State) -> bool:
        """Whether the goal is reached at this state (see `success_hold`)."""

    def observe(self, state: State) -> Array:
        """Observation for learned proposals, goal-relative (nobs,)."""
        import jax.numpy as jnp

        return jnp.concatenate([state.qpos, state.qvel])

    def hold_control(self, state: State) -> Array:
        """Control (nu,) that keeps still, from which plans start: zero unless overridden."""
        import jax.numpy as jnp

        return jnp.zeros(self.nu) + 0.0 * state.time

    def to_policy_frame(self, state: State, controls: Array) -> Array:
        """Controls as learned policies see them: actuator units (..., nu) -> (..., nu).

        A task whose controls are positions expresses them relative to its goal here, so that a
        policy follows a goal that is moved. Pure JAX, inverse of `from_policy_frame`.
        """
        del state
        return controls

    def from_policy_frame(self, state: State, controls: Array) -> Array:
        """Controls in actuator units from those that a learned policy gave (..., nu)."""
        del state
        return controls

    def dynamics(self) -> Dynamics | None:
        """The task's own JAX dynamics for the `analytic` engine, or None."""
        return None

    def progress(self, state: State) -> dict[str, float]:
        """Named measures for people, such as the coverage of the goal; not used for control."""
        return {}

    @cached_property
    def model(self) -> mujoco.MjModel:
        """The compiled model of planner and plant. Do not write to it: copy it."""
        import mujoco

        return mujoco.MjModel.from_xml_path(str(self.model_path))

    @cached_property
    def model_path(self) -> Path:
        """Absolute path of the MJCF file."""
        owner = next((c for c in type(self).__mro__ if "mjcf" in vars(c)), type(self))
        return Path(inspect.getfile(owner)).resolve().parent / self.mjcf

    @property
    def source_path(self) -> Path | None:
        """Absolute path of the Python file of the class; None if typed into an interpreter."""
        try:
            return Path(inspect.getfile(type(self))).resolve()
        except (TypeError, OSError):
            return None

    @property
    def dt(self) -> float:
        """Time step of planner and plant, s."""
        return self.model.opt.timestep

    @property
    def nu(self) -> int:
        """Number of actuators."""
        return self.model.nu

    @cached_property
    def control_range(self) -> np.ndarray:
        """Lower and upper actuator limits (2, nu); +-1 for an actuator without limits."""
        limited = self.model.actuator_ctrllimited.astype(bool)
        limits = np.where(limited[:, None], self.model.actuator_ctrlrange, [-1.0, 1.0])
        return np.ascontiguousarray(limits.T)

    @cached_property
    def policy_range(self) -> np.ndarray:
        """Lower and upper limits (2, nu) of controls in the policy frame, scaled to [-1, 1]."""
        return self.control_range

    @cached_property
    def trace_columns(self) -> np.ndarray:
        """Columns of `sensordata` that hold the traced points (S, 3)."""
        starts = [self.model.sensor(name).adr[0] for name in self.traces]
        return np.asarray(starts, dtype=int).reshape(-1, 1) + np.arange(3)

    def default_weights(self) -> dict[str, float]:
        """Weight of every term by name."""
        return {name: weight.default for name, weight in self.weights.items()}
