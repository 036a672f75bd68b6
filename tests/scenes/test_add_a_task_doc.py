"""The task in docs/add_a_task.md, as a reader would copy it."""

import re
from pathlib import Path

import mujoco
import numpy as np
import pytest
from mujoco.batch import Batch

from gpc_studio.scenes import State, load_task

DOC = Path(__file__).parents[2] / "docs" / "add_a_task.md"


@pytest.fixture
def task(tmp_path):
    for name, text in code_blocks().items():
        (tmp_path / name).write_text(text)
    return load_task(tmp_path / "my_cart_pole.py")


def code_blocks() -> dict[str, str]:
    return dict(re.findall(r"^```\w+ (\S+)\n(.*?)^```$", DOC.read_text(), re.M | re.S))


def test_the_python_file_has_at_most_60_lines():
    assert 0 < len(code_blocks()["my_cart_pole.py"].splitlines()) <= 60


def test_the_task_loads(task):
    assert task.title == "My cart-pole"
    assert task.model.nq == 2 and task.nu == 1
    assert not task.is_success(rest_state(task))


def test_success_is_upright_at_the_goal(task):
    state = rest_state(task)
    upright = state._replace(qpos=np.array([0.0, np.pi]))
    assert task.is_success(upright)
    assert not task.is_success(upright._replace(mocap_pos=np.array([[1.0, 0.0, 1.2]])))


def test_choosing_the_cheapest_rollout_swings_the_pole_up(task):
    """Random shooting from hanging, 4 s: its costs lead to where the success test wants."""
    import jax
    import jax.numpy as jnp

    weights, dt = task.default_weights(), task.dt
    start = jax.tree.map(jnp.asarray, rest_state(task))

    def cost(qpos, qvel, controls):
        def running(q, v, u):
            terms = task.cost_terms(start._replace(qpos=q, qvel=v), u)
            return sum(weights[name] * value for name, value in terms.items())

        final = task.terminal_terms(start._replace(qpos=qpos[-1], qvel=qvel[-1]))
        terminal = sum(weights[name] * value for name, value in final.items())
        return dt * jnp.sum(jax.vmap(running)(qpos, qvel, controls)) + terminal

    costs = jax.jit(jax.vmap(cost))
    rng, data = np.random.default_rng(0), mujoco.MjData(task.model)
    batch, samples, steps = Batch(task.model, 64, 1), 64, 100
    knots, highest = np.zeros(6), -1.0
    for _ in range(200):
        knots = np.interp(np.arange(6) + 0.1, np.arange(6), knots)
        candidates = np.clip(knots + rng.normal(scale=0.4, size=(samples, 6)), -1, 1)
        candidates[0] = knots
        times = np.linspace(0, 5, steps)
        controls = np.stack([np.interp(times, np.arange(6), c) for c in candidates])[..., None]
        batch.qpos[:], batch.qvel[:] = data.qpos, data.qvel
        record = batch.rollout(steps, controls, record=("qpos", "qvel"))
        best = int(np.argmin(costs(record["qpos"], record["qvel"], controls)))
        knots = candidates[best]
        for control in controls[best, :2]:
            data.ctrl[:] = control
            mujoco.mj_step(task.model, data)
        highest = max(highest, -np.cos(data.qpos[1]))
    assert highest > 0.97


def rest_state(task) -> State:
    data = mujoco.MjData(task.model)
    mujoco.mj_forward(task.model, data)
    return State.from_data(data)
