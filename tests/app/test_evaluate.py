"""Evaluations: their files, how they are split and resumed, and what they refuse."""

import json
import os
import signal
import time
from dataclasses import asdict, replace
from pathlib import Path

import mujoco
import numpy as np
import pytest

from gpc_studio.app.errors import UsageError
from gpc_studio.app.evaluate import runner
from gpc_studio.app.evaluate.command import (
    EvaluateOptions,
    command,
    controller_options,
    evaluate,
)
from gpc_studio.app.evaluate.episodes import EpisodeRun
from gpc_studio.app.evaluate.results import only_writer
from gpc_studio.app.evaluate.starts import (
    episode_seed,
    episode_starts,
    read_initial_states,
)
from gpc_studio.app.evaluate.statistics import median, wilson_interval
from gpc_studio.options import OptionError
from gpc_studio.scenes import load_task

pytestmark = pytest.mark.usefixtures("compile_once")

SMALL = ("samples=8", "horizon=0.4", "rate=10")


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
