"""What the tasks of a cart on a rail share: the cart is joint 0, the goal mocap body 0."""

from __future__ import annotations

from gpc_studio.scenes.state import Array, State


def offset(state: State) -> Array:
    """Cart from the goal along the rail, m."""
    return state.qpos[0] - state.mocap_pos[0, 0]


def beyond(state: State, rail: float) -> Array:
    """Squared distance of the cart beyond half a rail's length `rail`, m^2."""
    import jax.numpy as jnp

    return jnp.maximum(jnp.abs(state.qpos[0]) - rail, 0.0) ** 2


def final_terms(state: State, upright: Array) -> dict[str, Array]:
    """Cost terms at the end of the horizon: the poles up, the cart at the goal, all at rest."""
    import jax.numpy as jnp

    return {
        "final_upright": upright,
        "final_position": offset(state) ** 2,
        "final_speed": jnp.sum(state.qvel**2),
    }
