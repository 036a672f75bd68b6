"""Episodes in lock-step: what a batch of them does, and when they end."""

from dataclasses import replace

import mujoco
import numpy as np
import pytest

from gpc_studio.app.choice import choose_controller
from gpc_studio.app.evaluate.episodes import EpisodeRun, LockStep
from gpc_studio.app.evaluate.starts import EpisodeStart, episode_seed, episode_starts
from gpc_studio.app.session import Session
from gpc_studio.scenes import InitialState, load_task
from gpc_studio.scenes.plant import Plant

pytestmark = pytest.mark.usefixtures("compile_once")


def lock_step(episodes, batch=3, task="pendulum"):
    """Results by episode, without the wall time in them."""
    loaded = load_task(task)
    options = replace(choose_controller(loaded, "mppi"), samples=8, horizon=0.4, rate=10.0)
    run = EpisodeRun(task, "mppi", options, loaded.default_weights(), episodes, batch, threads=1)
    results = [result for period in LockStep(run).periods() for result in period.results]
    return {result.index: replace(result, plan_ms=0.0) for result in results}


def test_an_episode_does_not_depend_on_the_others():
    starts = episode_starts(0, 7)
    together = lock_step(starts)
    assert sorted(together) == list(range(7))
    for index in (0, 4, 5):
        assert lock_step([starts[index]]) == {index: together[index]}


def test_an_episode_starts_like_a_session_of_its_seed():
    task = load_task("push_t")
    seed = episode_seed(7, 3)
    plant = Plant(task.model, episodes=1, threads=1)
    plant.place(0, task.reset(np.random.default_rng(seed)))
    session = Session("push_t", "mppi", seed=seed, paused=True)
    np.testing.assert_array_equal(plant.observe().qpos[0], session.snapshot.state.qpos)
    np.testing.assert_array_equal(plant.observe().mocap_pos[0], session.snapshot.state.mocap_pos)


def test_an_episode_that_diverges_has_failed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    mujoco.set_mju_user_warning(None)
    finite = InitialState(np.zeros(1), np.zeros(1))
    wild = InitialState(np.zeros(1), np.full(1, 1e11))
    results = lock_step([EpisodeStart(0, 5, wild), EpisodeStart(1, 6, finite)])
    assert results[0].diverged
    assert not results[0].success
    assert results[0].final_cost is None
    assert not results[1].diverged
    assert results[1] == lock_step([EpisodeStart(1, 6, finite)])[1]
    assert list(tmp_path.iterdir()) == []  # MuJoCo wrote no log where it ran


TIMED = """
from gpc_studio.scenes.pendulum.task import Pendulum

class Timed(Pendulum):
    name = "timed"
    mjcf = {mjcf!r}
    episode_seconds = 2.0
    success_hold = {hold}

    def is_success(self, state):
        time = float(state.time)
        return 0.29 < time < 0.35 or time > {since}
"""


@pytest.mark.parametrize(
    ("hold", "since", "success", "steps"),
    [
        (0.0, 1.0, True, 15),  # the first success counts
        (0.5, 0.99, True, 50),  # the short one does not; the first step of the lasting one does
        (0.5, 1.51, False, 100),  # 24 steps are left, 25 are needed
        (0.5, 1.49, True, 75),
    ],
)
def test_success_must_hold(tmp_path, hold, since, success, steps):
    path = tmp_path / "timed.py"
    model = load_task("pendulum").model_path
    path.write_text(TIMED.format(hold=hold, since=since, mjcf=str(model)))
    (result,) = lock_step(episode_starts(0, 1), task=str(path)).values()
    assert (result.success, result.steps) == (success, steps)


def test_final_cost_is_the_running_cost_at_the_end(tmp_path):
    path = tmp_path / "timed.py"
    path.write_text(TIMED.format(hold=0.0, since=1.0, mjcf=str(load_task("pendulum").model_path)))
    text = path.read_text().replace("return 0.29", "return time == 0.0 or 0.29")
    path.write_text(text)
    start = InitialState(np.array([0.3]), np.array([2.0]))
    (result,) = lock_step([EpisodeStart(0, 0, start)], task=str(path)).values()
    assert result.steps == 0
    # Of a hanging pendulum, squared distance of its tip from the goal's: 2 + 2 cos(angle).
    assert result.final_cost == pytest.approx(2 + 2 * np.cos(0.3) + 0.01 * 2.0**2, abs=0.002)
