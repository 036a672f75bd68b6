"""What holds for every built-in task, and the facts of each."""

import subprocess
import sys
from pathlib import Path

import mujoco
import numpy as np
import pytest
from mujoco.batch import Batch

from gpc_studio.scenes import State, load_task, task_class, task_names
from gpc_studio.scenes.errors import TaskError
from gpc_studio.scenes.validation import validate_task

AT_GOAL = {
    "pendulum": [np.pi],
    "cart_pole": [0.0, np.pi],
    "double_cart_pole": [0.0, np.pi, 0.0],
    "push_t": [0.0, 0.0, 0.0, 0.0, np.pi / 4],
    "push_k": [0.0, 0.0, 0.0, 0.0, np.pi / 4],
}
FAR_FROM_GOAL = {
    "pendulum": [0.0],
    "cart_pole": [1.0, np.pi],
    "double_cart_pole": [0.0, np.pi, np.pi],
    "push_t": [0.3, 0.3, 0.0, 0.0, np.pi / 4 + 0.5],
    "push_k": [0.3, 0.3, 0.0, 0.0, np.pi / 4 + 0.5],
}
PUSHING = ("push_t", "push_k")


def test_a_task_that_builds_on_another_keeps_its_model():
    class Heavier(task_class("pendulum")):
        name = "heavier"

    assert Heavier().model_path == load_task("pendulum").model_path
    assert Heavier().source_path == Path(__file__).resolve()


@pytest.fixture(params=task_names())
def task(request):
    return load_task(request.param)


def state_at(task, qpos=None, qvel=None, goal_position=None, goal_quat=None) -> State:
    data = mujoco.MjData(task.model)
    for field, value in (
        (data.qpos, qpos),
        (data.qvel, qvel),
        (data.mocap_pos, goal_position),
        (data.mocap_quat, goal_quat),
    ):
        if value is not None:
            field[:] = value
    mujoco.mj_forward(task.model, data)
    return State.from_data(data)


def cost(task, state, control=None) -> float:
    weights = task.default_weights()
    control = np.zeros(task.nu) if control is None else control
    terms = {**task.cost_terms(state, control), **task.terminal_terms(state)}
    return float(sum(weights[name] * value for name, value in terms.items()))


def test_the_five_tasks_are_found():
    assert set(AT_GOAL) <= set(task_names())


def test_listing_the_tasks_loads_neither_mujoco_nor_jax():
    code = (
        "import sys; from gpc_studio.scenes import task_class, task_names;"
        "[task_class(name).title for name in task_names()];"
        "print([m for m in ('mujoco', 'jax', 'shapely', 'viser') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_an_unknown_name_is_refused_with_the_known_ones():
    with pytest.raises(TaskError, match=r"cart_pole.*pendulum.*did you mean push_t\?"):
        task_class("pusht")


def test_it_keeps_the_contract(task):
    validate_task(task)


def test_the_folder_has_the_name_of_the_task():
    for name in task_names():
        assert task_class(name).name == name


def test_success_and_cost_at_the_goal(task):
    goal, far = state_at(task, AT_GOAL[task.name]), state_at(task, FAR_FROM_GOAL[task.name])
    assert task.is_success(goal)
    assert not task.is_success(far)
    assert cost(task, goal) < 1e-9
    assert cost(task, far) > 0.1


def test_moving_fast_through_the_goal_is_no_success():
    for name in ("pendulum", "cart_pole", "double_cart_pole"):
        task = load_task(name)
        assert not task.is_success(state_at(task, AT_GOAL[name], np.full(task.model.nv, 3.0)))


def test_the_goal_is_relative():
    """With the goal moved, success and observation move with it."""
    pendulum = load_task("pendulum")
    tilted = np.pi - 0.4
    quat = [np.cos(tilted / 2), 0.0, -np.sin(tilted / 2), 0.0]
    state = state_at(pendulum, [tilted], goal_quat=quat)
    assert pendulum.is_success(state) and cost(pendulum, state) < 1e-9
    np.testing.assert_allclose(pendulum.observe(state), [1.0, 0.0, 0.0], atol=1e-6)
    ghost = goal_tip(pendulum, quat)
    np.testing.assert_allclose(ghost, state.sensordata[:3], atol=1e-9)

    for name in ("cart_pole", "double_cart_pole"):
        task = load_task(name)
        at_goal = np.array(AT_GOAL[name])
        moved = state_at(task, at_goal + np.eye(task.model.nq)[0], goal_position=[[1.0, 0.0, 1.2]])
        assert task.is_success(moved)
        np.testing.assert_allclose(
            task.observe(moved), task.observe(state_at(task, at_goal)), atol=1e-6
        )


@pytest.mark.parametrize("name", PUSHING)
def test_pushing_observes_in_the_frame_of_the_goal(name):
    task = load_task(name)
    goal, turn = np.array([0.2, -0.1]), 0.9
    turned = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    pusher, block, yaw = np.array([0.05, -0.12]), np.array([0.1, 0.02]), 0.3
    still = state_at(task, [*pusher, *block, yaw], goal_quat=[1.0, 0.0, 0.0, 0.0])
    moved = state_at(
        task,
        [*(goal + turned @ pusher), *(goal + turned @ block), yaw + turn],
        goal_position=[[*goal, 0.0]],
        goal_quat=[np.cos(turn / 2), 0.0, 0.0, np.sin(turn / 2)],
    )
    np.testing.assert_allclose(
        task.observe(still), [*pusher, *block, np.cos(yaw), np.sin(yaw)], atol=1e-6
    )
    np.testing.assert_allclose(task.observe(moved), task.observe(still), atol=1e-6)
    assert cost(task, moved) == pytest.approx(cost(task, still), rel=1e-5)
    assert task.coverage(moved) == pytest.approx(task.coverage(still))


def test_observations_have_the_sizes_of_the_reference():
    sizes = {"pendulum": 3, "cart_pole": 5, "double_cart_pole": 8, "push_t": 6, "push_k": 6}
    for name, size in sizes.items():
        task = load_task(name)
        assert task.observe(state_at(task)).shape == (size,)


def test_resets_stay_within_their_ranges():
    bounds = {
        "pendulum": ([np.pi], [8]),
        "cart_pole": ([1.8, 3.14], [2, 2]),
        "double_cart_pole": ([2.8, 3.14, 3.14], [10, 10, 10]),
        "push_t": ([0.4, 0.4, 0.3, 0.3, np.pi], [0, 0, 0, 0, 0]),
        "push_k": ([0.4, 0.4, 0.3, 0.3, np.pi], [0, 0, 0, 0, 0]),
    }
    for name, (qpos, qvel) in bounds.items():
        task, rng = load_task(name), np.random.default_rng(0)
        starts = [task.reset(rng) for _ in range(300)]
        for field, bound in (("qpos", qpos), ("qvel", qvel)):
            largest = np.abs([getattr(start, field) for start in starts]).max(axis=0)
            assert np.all(largest <= bound) and np.all(largest >= 0.9 * np.array(bound)), field


def test_the_same_seed_draws_the_same_start(task):
    first, second = (task.reset(np.random.default_rng(7)) for _ in range(2))
    np.testing.assert_array_equal(first.qpos, second.qpos)
    np.testing.assert_array_equal(first.qvel, second.qvel)


@pytest.mark.parametrize("name", PUSHING)
def test_pushing_starts_without_contact(name):
    task, rng = load_task(name), np.random.default_rng(1)
    data = mujoco.MjData(task.model)
    for _ in range(300):
        data.qpos[:] = task.reset(rng).qpos
        mujoco.mj_forward(task.model, data)
        assert data.ncon == 0


@pytest.mark.parametrize("name", PUSHING)
def test_hold_control_keeps_the_pusher_in_place(name):
    task = load_task(name)
    data = mujoco.MjData(task.model)
    data.qpos[:] = [0.31, -0.22, 0.0, 0.0, 0.0]
    data.ctrl[:] = task.hold_control(State.from_data(data))
    for _ in range(200):
        mujoco.mj_step(task.model, data)
    np.testing.assert_allclose(data.qpos[:2], [0.31, -0.22], atol=1e-6)


@pytest.mark.parametrize("name", PUSHING)
def test_pushing_moves_the_block(name):
    task = load_task(name)
    data = mujoco.MjData(task.model)
    data.qpos[:] = [-0.2, 0.05, 0.0, 0.0, 0.0]
    data.ctrl[:] = [0.1, 0.05]
    for _ in range(300):
        mujoco.mj_step(task.model, data)
    assert data.qpos[2] > 0.1
    assert np.isfinite(data.qpos).all()


def test_model_facts():
    facts = {
        "pendulum": (0.02, 1, 1),
        "cart_pole": (0.01, 2, 1),
        "double_cart_pole": (0.01, 3, 1),
        "push_t": (0.01, 5, 2),
        "push_k": (0.01, 5, 2),
    }
    for name, (dt, nv, nu) in facts.items():
        model = load_task(name).model
        assert (model.opt.timestep, model.nv, model.nu) == (dt, nv, nu)

    pendulum = load_task("pendulum").model
    assert pendulum.body("rod").mass[0] == 1.0
    assert pendulum.actuator("motor").gear[0] == 2.0
    for name in ("cart_pole", "double_cart_pole"):
        assert load_task(name).model.body("cart").mass[0] == 1.0

    push_t = load_task("push_t").model
    block = push_t.body("block")
    assert block.mass[0] == pytest.approx(1.0)
    np.testing.assert_allclose(block.ipos, 0.0, atol=1e-9)
    np.testing.assert_allclose(push_t.actuator("servo_x").ctrlrange, [-0.6, 0.6])
    np.testing.assert_allclose(push_t.dof_damping, [0, 0, 8, 8, 0.06])
    np.testing.assert_allclose(push_t.pair_friction[:, :2], 0.5)


@pytest.mark.parametrize("name", PUSHING)
def test_mass_and_inertia_are_those_of_the_outline(name):
    """At uniform density; the origin is the centroid, and the mirror of both is x -> -x."""
    import shapely
    from shapely.affinity import scale

    task = load_task(name)
    outline, block = task.footprint, task.model.body("block")
    assert (outline.centroid.x, outline.centroid.y) == pytest.approx((0.0, 0.0), abs=1e-8)
    assert outline.symmetric_difference(scale(outline, -1.0, origin=(0, 0))).area < 1e-9
    assert task.mirror is not None and task.mirror.control == (-1, 1)
    rng = np.random.default_rng(0)
    points = rng.uniform(-0.17, 0.17, size=(200_000, 2))
    inside = points[shapely.contains_xy(outline, *points.T)]
    about_vertical = (inside**2).sum(axis=1).mean()
    assert task.model.body_mass[block.id] == pytest.approx(1.0)
    assert block.inertia.max() == pytest.approx(about_vertical, rel=0.01)
    np.testing.assert_allclose(block.ipos, 0.0, atol=1e-9)


def test_the_goal_of_push_k_has_the_outline_of_the_block():
    """It is drawn from pieces that do not overlap, since they are translucent."""
    import shapely

    task = load_task("push_k")
    model, data = task.model, mujoco.MjData(task.model)
    data.mocap_quat[:] = [1.0, 0.0, 0.0, 0.0]
    mujoco.mj_forward(model, data)
    (x, y), (half_x, half_y) = model.geom("goal_stem").pos[:2], model.geom("goal_stem").size[:2]
    pieces = [shapely.box(x - half_x, y - half_y, x + half_x, y + half_y)]
    for name in ("goal_right_arm", "goal_left_arm"):
        geom, mesh = data.geom(name), model.mesh(model.geom(name).dataid[0])
        first, count = mesh.vertadr[0], mesh.vertnum[0]
        corners = model.mesh_vert[first : first + count] @ geom.xmat.reshape(3, 3).T + geom.xpos
        pieces.append(shapely.MultiPoint(corners[:, :2]).convex_hull)
    assert sum(piece.area for piece in pieces) == pytest.approx(task.footprint.area, rel=1e-4)
    missing = task.footprint.symmetric_difference(shapely.union_all(pieces)).area
    assert missing < 1e-3 * task.footprint.area


def test_push_k_takes_the_policies_of_push_t():
    push_t, push_k = load_task("push_t"), load_task("push_k")
    assert push_k.policies_of == ("push_t",)
    np.testing.assert_array_equal(push_k.control_range, push_t.control_range)
    np.testing.assert_array_equal(push_k.policy_range, push_t.policy_range)


def test_only_the_pusher_and_the_block_touch(task):
    assert task.model.npair == len(getattr(task, "boxes", ()))
    assert not task.model.geom_contype.any() and not task.model.geom_conaffinity.any()


def test_traces_are_sensor_columns(task):
    state = state_at(task)
    data = mujoco.MjData(task.model)
    mujoco.mj_forward(task.model, data)
    assert task.trace_columns.shape == (len(task.traces), 3)
    for name, columns in zip(task.traces, task.trace_columns, strict=True):
        np.testing.assert_array_equal(state.sensordata[columns], data.site(name).xpos)


def test_randomised_fields_can_be_set_per_simulation(task):
    batch = Batch(task.model, 2, 1)
    for item in task.randomisations:
        batch.expand(item.field)
    assert task.randomisations


def test_control_range_is_that_of_the_model(task):
    low, high = task.control_range
    assert np.all(low < high)


def goal_tip(task, quat) -> np.ndarray:
    data = mujoco.MjData(task.model)
    data.mocap_quat[:] = quat
    mujoco.mj_forward(task.model, data)
    body = data.body("goal")
    return body.xpos + body.xmat.reshape(3, 3) @ [0.0, 0.0, -1.0]
