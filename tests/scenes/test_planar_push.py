"""The equations of planar pushing against MuJoCo."""

import jax
import mujoco
import numpy as np
import pytest
from mujoco.batch import Batch

from gpc_studio.controllers import domains
from gpc_studio.controllers.engines.analytic import AnalyticEngine
from gpc_studio.scenes import State, load_task
from tests.scenes.pushing import pushing_plans

TASKS = ("push_t", "push_k")


@pytest.fixture(params=TASKS, scope="module")
def task(request):
    return load_task(request.param)


def exact_rollouts(model, starts, controls) -> dict[str, np.ndarray]:
    """MuJoCo's positions and velocities after every step (N, T, 5)."""
    count, steps = controls.shape[:2]
    batch = Batch(model, count, 2)
    batch.qpos[:], batch.qvel[:] = starts, 0.0
    records = {name: np.zeros((count, steps, 5)) for name in ("qpos", "qvel")}
    batch.rollout(steps, controls, record=("qpos", "qvel"), out=records)
    return records


def analytic_rollouts(task, models, starts, controls) -> np.ndarray:
    """The engine's positions, one episode a plan (N, D, T+1, 5)."""
    count = len(starts)
    state = State(
        time=np.zeros(count),
        qpos=starts,
        qvel=np.zeros((count, 5)),
        act=np.zeros((count, 0)),
        sensordata=np.zeros((count, 6)),
        mocap_pos=np.zeros((count, 1, 3)),
        mocap_quat=np.tile([1.0, 0.0, 0.0, 0.0], (count, 1, 1)),
    )
    found = AnalyticEngine(task.dynamics(), models).rollout(state, controls[:, None])
    assert np.asarray(found.ok).all()
    return np.asarray(found.qpos)[..., 0]


def end_errors(mine, exact) -> tuple[np.ndarray, np.ndarray]:
    """Errors of the block's end pose: mm and degrees (N,)."""
    shift = np.linalg.norm(mine[:, 2:4] - exact[:, 2:4], axis=1)
    return 1e3 * shift, np.degrees(np.abs(mine[:, 4] - exact[:, 4]))


def moved(starts, end) -> np.ndarray:
    """Plans that moved the block by 1 cm or 5 degrees at least (N,)."""
    shift = np.linalg.norm(end[:, 2:4] - starts[:, 2:4], axis=1)
    return (shift > 0.01) | (np.abs(end[:, 4] - starts[:, 4]) > np.radians(5.0))


def test_the_block_ends_where_mujoco_puts_it(task):
    starts, controls = pushing_plans(task, 512, seed=11)
    exact = exact_rollouts(task.model, starts, controls)["qpos"][:, -1]
    mine = analytic_rollouts(task, [task.model], starts, controls)[:, 0, -1]
    pushed = moved(starts, exact)
    assert pushed.sum() >= 354
    shift, turn = (errors[pushed] for errors in end_errors(mine, exact))
    assert np.median(shift) < 0.05 and np.median(turn) < 0.02
    assert np.mean(shift) < 3.0 and np.mean(turn) < 1.0
    assert np.mean((shift < 3.0) & (turn < 1.0)) > 0.95


def test_the_block_ends_there_on_perturbed_models(task):
    models = domains.draw(task, 4, seed=5)
    starts, controls = pushing_plans(task, 96, seed=12)
    mine = analytic_rollouts(task, models, starts, controls)[:, :, -1]
    ends = []
    for number, model in enumerate(models):
        exact = exact_rollouts(model, starts, controls)["qpos"][:, -1]
        pushed = moved(starts, exact)
        shift, turn = (errors[pushed] for errors in end_errors(mine[:, number], exact))
        assert np.median(shift) < 0.05 and np.median(turn) < 0.02
        assert np.mean((shift < 3.0) & (turn < 1.0)) > 0.9
        ends.append(exact)
    assert np.median(np.abs(ends[1] - ends[0]).max(axis=1)) > 1e-3  # the models do differ


def test_one_step_is_mujoco_s(task):
    """From states along pushes, in float64: all but a few steps with two boxes touched."""
    starts, controls = pushing_plans(task, 100, seed=13)
    exact = exact_rollouts(task.model, starts, controls)
    before = [exact[name][:, :-1].reshape(-1, 5) for name in ("qpos", "qvel")]
    after = exact["qvel"][:, 1:].reshape(-1, 5)
    with jax.enable_x64(True):
        dynamics = task.dynamics()
        step = jax.jit(jax.vmap(dynamics.step, (None, 0, 0, 0)))
        commands = controls[:, 1:].reshape(-1, 2).astype(np.float64)
        _, velocity = step(dynamics.parameters(task.model), *before, commands)
        errors = np.abs(np.asarray(velocity) - after).max(axis=1)
    still = np.abs(before[1][:, 2:]).max(axis=1) < 1e-9
    assert (~still).mean() > 0.3
    assert errors[still].max() < 1.0
    assert np.quantile(errors, 0.95) < 1e-7
    assert np.mean(errors > 1e-5) < 0.02


def test_a_pusher_inside_the_block_is_pushed_out(task):
    """As after a hand has dragged one into the other."""
    with jax.enable_x64(True):
        dynamics = task.dynamics()
        parameters, step = dynamics.parameters(task.model), jax.jit(dynamics.step)
        for name in task.boxes:
            geom = task.model.geom(name)
            w, _, _, z = geom.quat
            cosine, sine = w * w - z * z, 2.0 * w * z
            half_x, half_y = geom.size[:2]
            deep = np.array([half_x - 0.012, -0.3 * half_y])  # away from the other boxes
            place = geom.pos[:2] + [[cosine, -sine], [sine, cosine]] @ deep
            data = mujoco.MjData(task.model)
            data.qpos[:2] = place
            data.ctrl[:] = place
            qpos, qvel = step(parameters, data.qpos.copy(), data.qvel.copy(), place)
            mujoco.mj_step(task.model, data)
            np.testing.assert_allclose(qvel, data.qvel, atol=1e-6)
            assert np.abs(qvel).max() > 0.1
            np.testing.assert_allclose(qpos, data.qpos, atol=1e-8)


def test_sensors_are_mujoco_s(task):
    rng, dynamics = np.random.default_rng(3), task.dynamics()
    data = mujoco.MjData(task.model)
    for _ in range(20):
        data.qpos[:] = task.reset(rng).qpos
        mujoco.mj_forward(task.model, data)
        state = State.from_data(data)
        mine = dynamics.sensors(dynamics.parameters(task.model), state)
        np.testing.assert_allclose(mine, state.sensordata, atol=1e-6)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: m.opt.__setattr__("integrator", 0), "integrator other than implicitfast"),
        (lambda m: m.opt.__setattr__("impratio", 2.0), "impratio"),
        (lambda m: m.dof_armature.__setitem__(2, 0.1), "armature"),
        (lambda m: m.jnt_limited.__setitem__(0, 1), "joint limits"),
        (lambda m: m.dof_frictionloss.__setitem__(2, 0.1), "dry friction"),
        (lambda m: m.pair_margin.__setitem__(0, 0.01), "no margin"),
        (lambda m: m.pair_friction.__setitem__((0, 1), 0.1), "one sliding friction"),
        (lambda m: m.body_ipos.__setitem__((2, 0), 0.1), "centre of mass"),
        (lambda m: m.pair_solimp.__setitem__((0, 4), 1.0), "power 2"),
    ],
)
def test_physics_that_the_equations_leave_out_is_refused(task, change, message):
    model = task.model.__copy__()
    change(model)
    with pytest.raises(ValueError, match=message):
        task.dynamics().parameters(model)
