"""Mirror symmetries and policy frames: what tasks say about them holds on MuJoCo."""

import jax
import numpy as np
import pytest

from gpc_studio.scenes import State, load_task, task_names
from gpc_studio.scenes.plant import Plant
from gpc_studio.scenes.state import InitialState

SYMMETRIC = [name for name in task_names() if load_task(name).mirror is not None]

STEPS = 150
STARTS = 12

# The mirror of each task, as signs of qpos and of qvel, for a goal that is its own mirror image.
# The T is symmetric about its stem: reflected at the goal's axis, its yaw error changes sign.
SIGNS = {
    "pendulum": ([-1], [-1]),
    "cart_pole": ([-1, -1], [-1, -1]),
    "double_cart_pole": ([-1, -1, -1], [-1, -1, -1]),
}


def reflected(task, start: InitialState) -> InitialState:
    """The mirror image of a start, with the goal where the model has it."""
    if task.name in SIGNS:
        qpos, qvel = (np.array(signs) for signs in SIGNS[task.name])
        return InitialState(qpos * start.qpos, qvel * start.qvel)
    # Planar pushing: reflect at the line along the stem of the goal's T, its y axis.
    _, goal_quat = goal(task)
    yaw = 2.0 * np.arctan2(goal_quat[3], goal_quat[0])
    along = np.array([-np.sin(yaw), np.cos(yaw)])
    mirror = 2.0 * np.outer(along, along) - np.eye(2)
    centre = goal(task)[0][:2]
    pusher, block = (centre + mirror @ (start.qpos[i : i + 2] - centre) for i in (0, 2))
    velocity = [mirror @ start.qvel[:2], mirror @ start.qvel[2:4], [-start.qvel[4]]]
    return InitialState(
        np.concatenate([pusher, block, [2.0 * yaw - start.qpos[4]]]), np.concatenate(velocity)
    )


def goal(task):
    """Position and orientation of the goal as the model has it."""
    import mujoco

    data = mujoco.MjData(task.model)
    return data.mocap_pos[0], data.mocap_quat[0]


def placed(task, starts) -> Plant:
    plant = Plant(task.model, len(starts), 1)
    for episode, start in enumerate(starts):
        plant.place(episode, start)
    return plant


def observations(task, states: State, steps: bool = False) -> np.ndarray:
    """Observations of states (E, ...) or, with steps, (E, T, ...) whose goals are (E, ...)."""
    observe = task.observe
    if steps:
        goal_axis = State(0, 0, 0, 0, 0, None, None)
        observe = jax.vmap(observe, in_axes=(goal_axis,))
    return np.asarray(jax.jit(jax.vmap(observe))(states))


@pytest.fixture(params=SYMMETRIC)
def task(request):
    return load_task(request.param)


@pytest.fixture
def starts(task):
    """Starts at rest or in motion, so that signs of velocities matter too."""
    rng = np.random.default_rng(7)
    found = [task.reset(rng) for _ in range(STARTS)]
    return [
        start._replace(qvel=np.asarray(start.qvel) + rng.uniform(-0.3, 0.3, task.model.nv))
        for start in found
    ]


def test_the_built_in_tasks_declare_a_mirror():
    assert {"pendulum", "cart_pole", "double_cart_pole", "push_t"} <= set(SYMMETRIC)


def test_signs_are_signs_of_the_right_number(task, starts):
    seen = observations(task, placed(task, starts).observe())
    assert len(task.mirror.observation) == seen.shape[1]
    assert len(task.mirror.control) == task.nu
    assert set(task.mirror.observation) | set(task.mirror.control) <= {-1, 1}
    assert -1 in task.mirror.observation


def test_the_mirrored_state_has_the_mirrored_observation(task, starts):
    seen = observations(task, placed(task, starts).observe())
    image = observations(task, placed(task, [reflected(task, s) for s in starts]).observe())
    np.testing.assert_allclose(image, seen * task.mirror.observation, atol=1e-5)
    assert np.abs(image - seen).max() > 0.1


def test_mirrored_controls_lead_to_mirrored_observations(task, starts):
    """Over a rollout in MuJoCo, contacts included."""
    plant, image = placed(task, starts), placed(task, [reflected(task, s) for s in starts])
    rng = np.random.default_rng(3)
    states = plant.observe()

    def in_frame(function, controls):
        mapped = jax.vmap(jax.vmap(function, in_axes=(None, 0)))
        return np.asarray(mapped(states, controls), dtype=float)

    # Controls in the policy frame that stay within the actuators' limits on both sides.
    knots = rng.uniform(-0.5, 0.5, (STARTS, 4, task.nu)) * task.policy_range[1]
    times = np.linspace(0.0, 3.0, STEPS)
    controls = np.stack(
        [[np.interp(times, range(4), row[:, i]) for i in range(task.nu)] for row in knots]
    ).transpose(0, 2, 1)
    moved = plant.advance(in_frame(task.from_policy_frame, controls)).states
    mirrored = controls * task.mirror.control
    reflection = image.advance(in_frame(task.from_policy_frame, mirrored)).states

    seen, opposite = observations(task, moved, True), observations(task, reflection, True)
    travelled = np.abs(seen - seen[:, :1]).max(axis=(0, 1))
    assert (travelled > 1e-3).all(), "every entry must have moved for the test to say anything"
    error = np.abs(opposite - seen * task.mirror.observation).max(axis=(1, 2))
    # Chaos magnifies rounding in some; contacts are symmetric to the solver's tolerance.
    assert np.median(error) < 1e-3
    assert (error < 0.02).mean() > 0.7

    wrong = np.abs(opposite - seen).max(axis=(1, 2))
    assert np.median(wrong) > 0.05


@pytest.mark.parametrize("name", task_names())
def test_the_policy_frame_is_a_round_trip(name):
    task = load_task(name)
    state, rng = goal_elsewhere(task), np.random.default_rng(5)
    controls = rng.uniform(*task.control_range, (6, 4, task.nu))
    seen = task.to_policy_frame(state, controls)
    assert seen.shape == controls.shape
    np.testing.assert_allclose(task.from_policy_frame(state, seen), controls, atol=1e-5)


@pytest.mark.parametrize("name", task_names())
def test_with_the_goal_at_home_all_controls_are_in_the_policys_range(name):
    task = load_task(name)
    state = State(
        *(part[0] for part in placed(task, [task.reset(np.random.default_rng(0))]).observe())
    )
    controls = np.random.default_rng(5).uniform(*task.control_range, (500, task.nu))
    low, high = task.policy_range
    seen = np.asarray(task.to_policy_frame(state, controls))
    assert low.shape == high.shape == (task.nu,)
    assert (seen >= low - 1e-6).all()
    assert (seen <= high + 1e-6).all()


def test_a_policy_of_push_t_follows_its_goal():
    """Pusher, T and goal moved together look the same, and so does the plan in that frame."""
    task = load_task("push_t")
    start = task.reset(np.random.default_rng(1))
    home = State(*(part[0] for part in placed(task, [start]).observe()))
    turn, shift = 0.7, np.array([0.05, -0.1])
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])

    def carried(points):
        centre = home.mocap_pos[0, :2]
        return centre + shift + (points - centre) @ rotation.T

    yaw = 2.0 * np.arctan2(home.mocap_quat[0, 3], home.mocap_quat[0, 0]) + turn
    away = home._replace(
        qpos=np.concatenate(
            [carried(home.qpos[:2]), carried(home.qpos[2:4]), home.qpos[4:] + turn]
        ),
        mocap_pos=home.mocap_pos + np.append(shift, 0.0),
        mocap_quat=np.array([[np.cos(yaw / 2), 0.0, 0.0, np.sin(yaw / 2)]]),
    )
    np.testing.assert_allclose(task.observe(away), task.observe(home), atol=1e-6)
    plan = np.random.default_rng(2).uniform(-0.3, 0.3, (4, 2))
    np.testing.assert_allclose(
        task.to_policy_frame(away, carried(plan)), task.to_policy_frame(home, plan), atol=1e-6
    )


def goal_elsewhere(task) -> State:
    """A state whose goal is turned and moved where the task lets users do that."""
    state = State(
        *(part[0] for part in placed(task, [task.reset(np.random.default_rng(0))]).observe())
    )
    if task.goal is None:
        return state
    shift = np.array([0.11 * (axis in task.goal.translate) for axis in "xyz"])
    turned = state.mocap_quat
    if "z" in task.goal.rotate:
        turned = np.array([[np.cos(1.1), 0.0, 0.0, np.sin(1.1)]])
    return state._replace(mocap_pos=state.mocap_pos + shift, mocap_quat=turned)
