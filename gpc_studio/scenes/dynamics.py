"""What a task's own JAX dynamics must offer to run on the `analytic` engine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from gpc_studio.scenes.state import Array, State

if TYPE_CHECKING:
    import mujoco


class Dynamics(Protocol):
    """One MuJoCo step and its sensors, as pure JAX functions of one state.

    `parameters` reads everything physical from the model, so that a randomised model gives a
    randomised dynamics. They are stacked over domains and passed traced.
    """

    def parameters(self, model: mujoco.MjModel) -> Any:
        """A NamedTuple of arrays with the physical parameters of `model`."""
        ...

    def step(
        self, parameters: Any, qpos: Array, qvel: Array, control: Array
    ) -> tuple[Array, Array]:
        """One step of `dt` with the integrator of the model: (nq,), (nv,) -> (nq,), (nv,).

        Controls are clipped to the actuator limits, as MuJoCo does.
        """
        ...

    def sensors(self, parameters: Any, state: State) -> Array:
        """Sensor readings at a state, in the order of the model (nsensordata,)."""
        ...
