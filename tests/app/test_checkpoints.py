"""Trained policies on the command line: evaluated, named, missing."""

import json
from dataclasses import replace

import pytest

from gpc_studio.app.cli import run
from gpc_studio.app.errors import UsageError
from gpc_studio.app.evaluate.command import EvaluateOptions, controller_options, evaluate
from gpc_studio.app.evaluate.report import results_table
from gpc_studio.app.planners import controller_names, default_checkpoint, default_options
from gpc_studio.app.run import read_settings
from gpc_studio.scenes import load_task
from tests.app.session.policies import add_policy, use_library

pytestmark = pytest.mark.usefixtures("compile_once")

TASK = load_task("pendulum")
SMALL = ("samples=8", "horizon=0.4", "rate=10", "flow_steps=2")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    use_library(monkeypatch, tmp_path)
    return tmp_path


@pytest.fixture
def wanted(tmp_path):
    return EvaluateOptions(
        "pendulum", controllers="gpc_cem,mppi", episodes=3, batch=3, set=SMALL,
        out=tmp_path / "out.json",
    )  # fmt: skip


def test_the_cem_sample_ratio_is_reported(wanted):
    add_policy(TASK, "pendulum")
    content = evaluate(wanted, "")
    seeded, plain = content["rows"]
    for episode in seeded["episodes"]:
        winners = episode["winners"]
        assert set(winners) == {"previous", "gaussian", "flow"}
        assert sum(winners.values()) == pytest.approx(1.0, abs=1e-5)
        assert episode["cem_ratio"] == pytest.approx(1.0 - winners["flow"], abs=1e-5)
    ratios = [episode["cem_ratio"] for episode in seeded["episodes"]]
    assert min(ratios) > 0.0 and max(ratios) < 1.0
    assert seeded["cem_ratio_mean"] == pytest.approx(sum(ratios) / 3)
    assert seeded["options"]["checkpoint"] == "pendulum"
    assert "cem_ratio_mean" not in plain and "winners" not in plain["episodes"][0]
    assert json.loads(wanted.out.read_text()) == content
    assert [column.header for column in results_table(content).renderables[0].columns][-1] == (
        "CEM ratio"
    )
    # The file is read again, and nothing is missing in it.
    again = evaluate(wanted, "")
    assert again["rows"] == content["rows"]


def test_results_of_another_policy_of_that_name_are_not_mixed_in(wanted):
    add_policy(TASK, "pendulum")
    evaluate(replace(wanted, controllers="gpc"), "")
    add_policy(TASK, "pendulum", seed=1)
    with pytest.raises(UsageError, match="checkpoint_digest"):
        evaluate(replace(wanted, controllers="gpc"), "")


def test_a_policy_by_file(wanted, folder):
    path = add_policy(TASK, "pendulum")
    moved = path.rename(folder / "moved.safetensors")
    chosen = replace(wanted, controllers="gpc", set=(*SMALL, f"checkpoint={moved}"))
    (row,) = evaluate(chosen, "")["rows"]
    assert row["engine"] == "none" and len(row["episodes"]) == 3
    arguments = ["--task", "pendulum", "--controller", "gpc", "--checkpoint", str(moved)]
    assert read_settings(arguments).options["checkpoint"] == str(moved)


def test_options_follow_the_plans_that_a_policy_was_trained_on():
    add_policy(TASK, "pendulum", knots=5)
    short = add_policy(TASK, "short", horizon=0.5, spline="zero")
    assert default_options(TASK, "gpc").knots == default_options(TASK, "gpc_cem").knots == 5

    def read(*arguments):
        found = read_settings(["--task", "pendulum", "--controller", "gpc", *arguments]).options
        return tuple(found[name] for name in ("horizon", "knots", "spline", "rate"))

    assert read() == (1.0, 5, "linear", 50.0)
    assert read("--checkpoint", "short") == (0.5, 6, "zero", 50.0)
    assert read("--checkpoint", str(short), "--horizon", "0.8") == (0.8, 6, "zero", 50.0)
    chosen = controller_options(TASK, "gpc,mppi", {"checkpoint": "short", "knots": "7"})
    assert (chosen["gpc"].horizon, chosen["gpc"].knots, chosen["mppi"].horizon) == (0.5, 7, 1.0)


@pytest.mark.parametrize("name", ["gpc", "gpc_cem"])
def test_a_missing_policy_is_told_in_one_line(wanted, name):
    with pytest.raises(UsageError, match=r"no policy for task pendulum yet.*train pendulum"):
        evaluate(replace(wanted, controllers=name), "")
    unknown = replace(wanted, controllers=name, set=("checkpoint=nobody",))
    with pytest.raises(UsageError, match="nobody"):
        evaluate(unknown, "")


def test_the_default_policy_is_that_of_the_tasks_name_or_the_newest(folder):
    import os

    assert default_checkpoint(TASK) == ""
    for age, name in ((30, "older"), (10, "newest"), (20, "between")):
        path = add_policy(TASK, name)
        os.utime(path, (1e9 - age, 1e9 - age))
    assert default_checkpoint(TASK) == "newest"
    add_policy(TASK, "pendulum")
    assert default_checkpoint(TASK) == "pendulum"
    assert default_checkpoint(load_task("cart_pole")) == ""


def test_the_controllers_are_listed(capsys):
    assert run(["list"]) == 0
    listed = capsys.readouterr().out
    for name in controller_names():
        assert f"  {name} " in listed
    assert {"gpc", "gpc_shoot", "gpc_cem", "gpc_ps", "gpc_mppi"} <= set(controller_names())
