import json
import os
import signal
import time
from dataclasses import asdict, replace
from pathlib import Path

import jax
import mujoco
import numpy as np
import pytest
from jax.experimental.compilation_cache import compilation_cache

from gpc_studio.app.errors import UsageError
from gpc_studio.app.evaluate import runner
from gpc_studio.app.evaluate.command import (
    EvaluateOptions,
    command,
    controller_options,
    evaluate,
)
from gpc_studio.app.evaluate.episodes import EpisodeRun, LockStep
from gpc_studio.app.evaluate.results import only_writer
from gpc_studio.app.evaluate.starts import (
    EpisodeStart,
    episode_seed,
    episode_starts,
    read_initial_states,
)
from gpc_studio.app.evaluate.statistics import median, wilson_interval
from gpc_studio.app.session import Session
from gpc_studio.options import OptionError
from gpc_studio.scenes import InitialState, load_task
from gpc_studio.scenes.plant import Plant, one_state

SMALL = ("samples=8", "horizon=0.4", "rate=10")


@pytest.fixture(scope="module", autouse=True)
def compile_once(tmp_path_factory):
    """Keeps compiled programs over the tests of this file, most of which run the same ones."""
    names = {
        "jax_compilation_cache_dir": str(tmp_path_factory.mktemp("jax")),
        "jax_persistent_cache_min_compile_time_secs": 0.0,
    }
    before = {name: getattr(jax.config, name) for name in names}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in names.items():
            jax.config.update(name, value)
            patch.setenv(name.upper(), str(value))  # for other processes
        compilation_cache.reset_cache()
        yield
    for name, value in before.items():
        jax.config.update(name, value)
    compilation_cache.reset_cache()


@pytest.fixture
def wanted(tmp_path):
    return EvaluateOptions(
        "pendulum", controllers="mppi", episodes=4, batch=3, set=SMALL, out=tmp_path / "out.json"
    )


def outcomes(content):
    """What must not depend on how the work was split: everything but wall time."""
    return [
        {key: value for key, value in episode.items() if key != "plan_ms"}
        for row in content["rows"]
        for episode in row["episodes"]
    ]


def lock_step(episodes, batch=3, task="pendulum", changes=None):
    loaded = load_task(task)
    settings = dict(pair.split("=") for pair in SMALL)
    options = controller_options(loaded, "mppi", settings)["mppi"]
    if changes:
        options = replace(options, **changes)
    run = EpisodeRun(task, "mppi", options, loaded.default_weights(), episodes, batch, threads=1)
    results = [result for period in LockStep(run).periods() for result in period.results]
    return {result.index: replace(result, plan_ms=0.0) for result in results}


@pytest.mark.parametrize("name", ["pendulum", "push_t"])
def test_the_plant_is_a_loop_over_mj_step(name):
    task = load_task(name)
    rng = np.random.default_rng(1)
    low, high = task.control_range
    plant = Plant(task.model, episodes=2, threads=2)
    starts = [task.reset(rng) for _ in range(2)]
    for episode, start in enumerate(starts):
        plant.place(episode, start)
    controls = rng.uniform(low, high, (3, 2, 7, task.nu))
    periods = [plant.advance(part) for part in controls]

    for episode, start in enumerate(starts):
        data, sensors = mujoco.MjData(task.model), mujoco.MjData(task.model)
        data.qpos[:], data.qvel[:] = start.qpos, start.qvel
        if start.mocap_pos is not None:
            data.mocap_pos[:] = start.mocap_pos
        if start.mocap_quat is not None:
            data.mocap_quat[:] = start.mocap_quat
        spec = mujoco.mjtState.mjSTATE_INTEGRATION.value
        for part, period in zip(controls, periods, strict=True):
            assert (period.diverged == 7).all()
            for step in range(7):
                data.ctrl[:] = part[episode, step]
                mujoco.mj_step(task.model, data)
                now = one_state(period.states, episode, step)
                np.testing.assert_array_equal(now.qpos, data.qpos)
                np.testing.assert_array_equal(now.qvel, data.qvel)
                assert now.time == data.time
                row = np.empty(mujoco.mj_stateSize(task.model, spec))
                mujoco.mj_getState(task.model, data, row, spec)
                mujoco.mj_setState(task.model, sensors, row, spec)
                mujoco.mj_forward(task.model, sensors)
                np.testing.assert_array_equal(now.sensordata, sensors.sensordata)
        # Looking does not touch: the solver's warm start is still that of the last step.
        np.testing.assert_array_equal(plant._batch.bind("qacc_warmstart")[episode],
                                      data.qacc_warmstart)  # fmt: skip


def test_json_has_the_agreed_form(wanted):
    content = evaluate(wanted, "gpc-studio evaluate pendulum")
    assert json.loads(wanted.out.read_text()) == content
    assert {"task", "command", "versions", "rows"} <= set(content)
    assert content["task"] == "pendulum"
    assert content["command"] == "gpc-studio evaluate pendulum"
    assert content["versions"]["mujoco"] == mujoco.__version__
    (row,) = content["rows"]
    assert {
        "controller", "engine", "episodes", "success_rate", "wilson95", "steps_mean", "steps_sd",
        "plan_ms_median",
    } <= set(row)  # fmt: skip
    assert row["engine"] == "analytic"
    assert row["options"]["samples"] == 8
    assert [episode["index"] for episode in row["episodes"]] == [0, 1, 2, 3]
    assert [episode["seed"] for episode in row["episodes"]] == [
        episode_seed(0, index) for index in range(4)
    ]
    for episode in row["episodes"]:
        assert {"index", "seed", "success", "steps", "final_cost"} <= set(episode)
        assert isinstance(episode["success"], bool)
        assert 0 <= episode["steps"] <= 500
        assert episode["final_cost"] >= 0
    successes = [episode["steps"] for episode in row["episodes"] if episode["success"]]
    assert row["success_rate"] == len(successes) / 4
    assert row["plan_ms_median"] > 0


def test_two_processes_give_the_same_bits_as_one(wanted, tmp_path):
    both = replace(wanted, controllers="mppi,cem", episodes=5)
    one = evaluate(both, "one")
    two = evaluate(replace(both, jobs=2, out=tmp_path / "two.json"), "two")
    assert len(outcomes(one)) == 10
    assert outcomes(one) == outcomes(two)


def test_an_episode_does_not_depend_on_the_others():
    starts = episode_starts(0, 7)
    together = lock_step(starts)
    assert sorted(together) == list(range(7))
    for index in (0, 4, 5):
        assert lock_step([starts[index]]) == {index: together[index]}


def test_an_interrupted_evaluation_goes_on(wanted, tmp_path, monkeypatch):
    whole = evaluate(replace(wanted, out=tmp_path / "whole.json"), "whole")

    original = runner.run
    ran = []

    def killed_after_the_first(runs, jobs):
        for event in original(runs, jobs):
            yield event
            if isinstance(event, runner.Finished):
                raise KeyboardInterrupt

    def counted(runs, jobs):
        ran.extend(start.index for run in runs for start in run.episodes)
        return original(runs, jobs)

    monkeypatch.setattr(runner, "run", killed_after_the_first)
    with pytest.raises(KeyboardInterrupt):
        evaluate(wanted, "killed")
    kept = [e["index"] for e in json.loads(wanted.out.read_text())["rows"][0]["episodes"]]
    assert len(kept) == 1

    monkeypatch.setattr(runner, "run", counted)
    resumed = evaluate(wanted, "resumed")
    assert sorted(ran) == sorted(set(range(4)) - set(kept))
    assert outcomes(resumed) == outcomes(whole)


def test_termination_is_an_interruption(wanted, monkeypatch, capsys):
    def terminated(runs, jobs):
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(10)
        raise AssertionError
        yield

    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(runner, "run", terminated)
    arguments = ["pendulum", "--controllers", "mppi", "--out", str(wanted.out)]
    assert command(arguments) == 130
    assert "the same command goes on" in capsys.readouterr().err
    assert signal.getsignal(signal.SIGTERM) == before


def test_an_episode_starts_like_a_session_of_its_seed():
    task = load_task("push_t")
    seed = episode_seed(7, 3)
    plant = Plant(task.model, episodes=1, threads=1)
    plant.place(0, task.reset(np.random.default_rng(seed)))
    session = Session("push_t", "mppi", seed=seed, paused=True)
    np.testing.assert_array_equal(plant.observe().qpos[0], session.snapshot.state.qpos)
    np.testing.assert_array_equal(plant.observe().mocap_pos[0], session.snapshot.state.mocap_pos)


def test_more_episodes_and_controllers_are_added(wanted):
    first = outcomes(evaluate(replace(wanted, episodes=2), "few"))
    content = evaluate(replace(wanted, controllers="mppi,cem", episodes=3), "more")
    assert [row["controller"] for row in content["rows"]] == ["mppi", "cem"]
    assert [len(row["episodes"]) for row in content["rows"]] == [3, 3]
    assert outcomes(content)[:2] == first


def test_figures_cover_the_episodes_asked_for(wanted):
    five = evaluate(replace(wanted, controllers="mppi,cem", episodes=5), "five")
    two = evaluate(replace(wanted, episodes=2), "two")
    assert json.loads(wanted.out.read_text()) == two
    for before, row in zip(five["rows"], two["rows"], strict=True):
        assert row["episodes"] == before["episodes"][:2]
        assert row["further_episodes"] == before["episodes"][2:]
        successes = [e["steps"] for e in row["episodes"] if e["success"]]
        assert row["success_rate"] == len(successes) / 2
        assert row["wilson95"] == list(wilson_interval(len(successes), 2))
        assert row["plan_ms_median"] == median([e["plan_ms"] for e in row["episodes"]])
    # The others are not run again when they are asked for.
    assert evaluate(replace(wanted, episodes=5), "five")["rows"] == five["rows"]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"seed": 1}, "seed"),
        ({"batch": 4}, "batch"),
        ({"set": (*SMALL, "temperature=0.5")}, "mppi: temperature"),
        ({"weight": ("speed=0.5",)}, "weights"),
    ],
)
def test_other_settings_are_not_mixed_in(wanted, change, named):
    evaluate(replace(wanted, episodes=1), "first")
    with pytest.raises(UsageError, match=named) as refusal:
        evaluate(replace(wanted, episodes=1, **change), "second")
    assert "--fresh" in str(refusal.value)
    content = evaluate(replace(wanted, episodes=1, fresh=True, **change), "third")
    assert content["command"] == "third"


def test_two_evaluations_do_not_write_one_file(wanted):
    with only_writer(wanted.out), pytest.raises(UsageError, match="another evaluation"):
        evaluate(wanted, "second")
    evaluate(replace(wanted, episodes=1), "third")
    assert list(wanted.out.parent.glob(".*")) == []


def test_a_file_of_something_else_is_refused(wanted):
    wanted.out.write_text('{"rows": 3}')
    with pytest.raises(UsageError, match="not a results file"):
        evaluate(wanted, "command")
    assert wanted.out.read_text() == '{"rows": 3}'


def test_initial_states(wanted, tmp_path):
    path = tmp_path / "states.json"
    upright = {"qpos": [np.pi], "qvel": [0.0]}
    hanging = {"qpos": [0.0], "qvel": [0.0]}
    path.write_text(json.dumps([upright, hanging]))
    change = {"episodes": None, "initial_states": path, "set": ()}
    content = evaluate(replace(wanted, **change), "command")
    first, second = content["rows"][0]["episodes"]
    assert first["success"]
    assert first["steps"] == 0
    assert second["steps"] > 0


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "not JSON"),
        ("[]", "expected a list"),
        ('{"qpos": [0]}', "expected a list"),
        ('[{"qpos": [0.0], "qvel": [0.0]}, {"qpos": [0, 1], "qvel": [0]}]',
         "entry 1: qpos: expected 1 numbers, got shape"),
        ('[{"qvel": [0]}]', "entry 0: qpos is missing, expected 1 numbers"),
        ('[{"qpos": [0], "qvel": [0], "mocap_poss": [[0, 0, 0]]}]', "mocap_pos"),
        ('[{"qpos": [0], "qvel": [NaN]}]', "entry 0: qvel: expected finite"),
        ('[{"qpos": ["a"], "qvel": [0]}]', "entry 0: qpos: expected 1 numbers"),
        ('[{"qpos": [0], "qvel": [0], "mocap_pos": [[0, 0]]}]', "1 lists of 3 numbers"),
        ('[{"qpos": [0], "qvel": [0], "mocap_quat": [[0, 0, 0, 0]]}]', "quaternion is zero"),
    ],
)  # fmt: skip
def test_initial_states_are_checked(tmp_path, content, message):
    path = tmp_path / "states.json"
    path.write_text(content)
    with pytest.raises(UsageError, match=message) as refusal:
        read_initial_states(path, load_task("pendulum").model)
    assert str(path) in str(refusal.value)


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


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"task": "pendulm"}, "did you mean pendulum"),
        ({"controllers": "cme"}, "did you mean cem"),
        ({"controllers": "cem,cem"}, "different names"),
        ({"episodes": 0}, "--episodes"),
        ({"jobs": 0}, "--jobs"),
        ({"seed": -1}, "--seed"),
        ({"out": Path(__file__) / "out.json"}, "give another file with --out"),
    ],
)
def test_mistakes_are_told(wanted, change, message):
    with pytest.raises(UsageError, match=message):
        evaluate(replace(wanted, **change), "command")


@pytest.mark.parametrize("text", ["samples", "sample=3", "samples=x", "samples=1", "engine=fast"])
def test_bad_options_are_refused(wanted, text):
    with pytest.raises(OptionError):
        evaluate(replace(wanted, set=(text,)), "command")


def test_a_process_that_fails_is_reported(monkeypatch, wanted):
    task = load_task("pendulum")
    options = controller_options(task, "mppi", {})["mppi"]
    run = EpisodeRun("no_such_task", "mppi", options, {}, episode_starts(0, 2), 2)
    with pytest.raises(runner.WorkerError, match="no_such_task"):
        list(runner.run([run], jobs=2))


def test_work_is_dealt_out_whole():
    task = load_task("pendulum")
    options = controller_options(task, "mppi", {})["mppi"]
    run = EpisodeRun("pendulum", "mppi", options, {}, episode_starts(0, 21), 4)
    parts = runner.split(run, 3)
    indices = sorted(start.index for part in parts for start in part.episodes)
    assert indices == list(range(21))
    assert max(len(part.episodes) for part in parts) <= 8
    assert asdict(parts[0].options) == asdict(options)
