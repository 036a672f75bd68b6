"""Studies with policies, from their command to table and picture, on tiny settings."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gpc_studio.app.errors import UsageError
from gpc_studio.app.evaluate.starts import episode_seed
from gpc_studio.app.planners import make_planner
from gpc_studio.app.reproduce.command import command
from gpc_studio.app.reproduce.studies import kurtz_cost_per_step as cost
from gpc_studio.app.reproduce.studies import kurtz_figure_4 as warm
from gpc_studio.app.reproduce.studies import kurtz_policies as claims
from gpc_studio.app.train.command import gpc_planning, read
from gpc_studio.models.library import path_for
from gpc_studio.scenes import load_task
from gpc_studio.scenes.double_cart_pole.task import DoubleCartPole
from gpc_studio.scenes.pendulum.task import Pendulum
from gpc_studio.scenes.plant import Plant
from gpc_studio.scenes.push_t.task import PushT
from tests.untrained import save_untrained

pytestmark = pytest.mark.usefixtures("compile_once")

PNG = b"\x89PNG"


@pytest.fixture(autouse=True)
def data_dir(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    path_for("any").parent.mkdir(parents=True)


def measured(folder, name):
    return json.loads((folder / f"{name}.json").read_text())["rows"][0]


@pytest.mark.parametrize("task", cost.PRESETS)
def test_the_preset_is_one_thing_for_training_and_planning(task):
    preset = cost.PRESETS[task]
    asked = read(preset.train(task).split()[2:])
    planning = gpc_planning(asked)
    steps = 1.0 / (planning.rate * asked.task.dt)
    assert asked.name == f"{task}_paper" and steps == pytest.approx(1.0)
    assert planning.horizon == pytest.approx(preset.horizon * asked.task.dt)
    assert planning.spline == "zero"
    spc = next(row for row in cost.task_rows(task, "") if row.name.endswith("-spc"))
    assert {f"{name}={value}" for name, value in spc.weights.items()} == set(asked.flags["weight"])
    assert asked.options.plans == preset.episode
    counted = dict(spc.course.measure.weights)
    assert counted == {k: v for k, v in asked.weights.items() if k != "rail"}


def test_held_plans_have_the_controls_of_the_authors():
    """Five holds of five steps each: the sixth knot lies where nothing is simulated any more."""
    task = load_task("pendulum")
    asked = read(cost.PRESETS["pendulum"].train("pendulum").split()[2:])
    planner = make_planner(task, "predictive_sampling", replace(gpc_planning(asked), samples=2))
    plant = Plant(task.model, 1, 1)
    state = plant.observe()
    memory = planner.start(state, [0])
    _, plan, _ = planner.step(memory, state, planner._options, task.default_weights())
    planner.close()
    np.testing.assert_array_equal(plan.controls[0], np.repeat(plan.executed[0][:5], 5, axis=0))


def test_cost_per_step_is_that_of_the_path(tmp_path, monkeypatch):
    monkeypatch.setattr(cost, "SECONDS", 0.8)
    short = replace(cost.PRESETS["pendulum"], episode=30)
    monkeypatch.setattr(cost, "PRESETS", {"pendulum": short})
    save_untrained(load_task("pendulum"), "pendulum_paper")
    out = tmp_path / "out"
    arguments = ["kurtz-cost-per-step", "--episodes", "2", "--batch", "2", "--out", str(out)]
    assert command(arguments) == 0
    rows = cost.task_rows("pendulum", "pendulum_paper")
    assert all((out / f"{row.name}.json").exists() for row in rows)
    gpc = measured(out, "pendulum-gpc")
    assert gpc["options"]["checkpoint"] == "pendulum_paper" and gpc["options"]["warm_start"] == 1
    seeded = measured(out, "pendulum-seeded")["options"]
    assert seeded["samples"] == 128 and seeded["policy_share"] == 50 and seeded["noise"] == 0.1
    starts = cost.cost_of_starts(rows[0], measured(out, "pendulum-spc"))
    parts = [e["measures"]["cost"] for e in measured(out, "pendulum-spc")["episodes"]]
    assert starts == pytest.approx([  # 30 and then 10 steps
        (30 * parts[0] + 10 * parts[1]) / 40, (30 * parts[2] + 10 * parts[3]) / 40
    ])  # fmt: skip
    text = (out / "table.md").read_text()
    assert f"| {np.mean(starts):.3f} ± {np.std(starts, ddof=1):.3f} | 0.923 ± 0.430 |" in text
    assert "policy pendulum_paper" in text and "--set horizon=0.5 --set knots=6" in text


def test_running_and_terminal_cost_of_a_known_path():
    """A pendulum at rest at its lowest point costs 4 a second, and as much at the end."""
    task = load_task("pendulum")
    weights = tuple(task.default_weights().items())
    measure = cost.CostPerStep(weights, horizon=3, rail=None)
    plant = Plant(task.model, 1, 1)
    states = plant.observe()
    path = states._replace(
        **{n: np.repeat(getattr(states, n)[:, None], 8, axis=1)
           for n in ("time", "qpos", "qvel", "act", "sensordata")}
    )  # fmt: skip
    values = measure.values(task)(path, np.full((1, 7, 1), 0.5))[0]
    np.testing.assert_allclose(values, np.tile([4 + 0.001 * 0.25, 4.0, 0.0], (7, 1)), rtol=1e-6)
    found = measure.figures(values, task.dt)
    assert found["terminal"] == pytest.approx(2 * 4.0 / 7)  # after steps 3 and 6
    assert found["cost"] == pytest.approx(4 + 0.001 * 0.25 + 8.0 / 7)


def test_the_rail_is_watched_but_not_charged():
    task = load_task("cart_pole")
    row = cost.task_rows("cart_pole", "")[0]
    plant = Plant(task.model, 1, 1)
    start = plant.observe()
    states = start._replace(qpos=np.array([[2.8, np.pi]]))
    path = states._replace(
        **{n: np.repeat(getattr(states, n)[:, None], 2, axis=1)
           for n in ("time", "qpos", "qvel", "act", "sensordata")}
    )  # fmt: skip
    (value,) = row.course.measure.values(task)(path, np.zeros((1, 1, 1)))[0]
    np.testing.assert_allclose(value, [2.8**2, 2.8**2, 1.0], rtol=1e-5)


def test_upright_is_held_only_without_a_break():
    up = np.zeros(20, bool)
    up[3:6] = up[8:14] = True
    assert warm._held_since(up, 3, 0.1) == pytest.approx(0.4)  # states after steps 4 to 6
    assert warm._held_since(up, 5, 0.1) == pytest.approx(0.9)
    assert warm._held_since(up, 7, 0.1) is None


def test_figures_of_a_double_cart_pole():
    task = load_task("double_cart_pole")
    measure = warm.Upright(path=True)
    plant = Plant(task.model, 1, 1)
    states = plant.observe()
    angles = np.array([[0.0, 0, 0], [0, np.pi, 0], [0, np.pi + 0.2, 0.2], [0, np.pi, 0.25]])
    moving = {n: np.repeat(getattr(states, n)[:, None], 4, axis=1)
              for n in ("time", "qvel", "act", "sensordata")}  # fmt: skip
    path = states._replace(qpos=angles[None], **moving)
    values = measure.values(task)(path, np.array([[[0.5], [-0.5], [-0.25]]]))[0]
    found = measure.figures(values, task.dt)
    assert found["change"] == pytest.approx((1.0 + 0.25) / 2)
    assert found["upright_last"] == pytest.approx(2 / 3)  # 0.4 rad is too much for the outer pole
    assert found["height"] == pytest.approx(
        [2, np.cos(0.2) + np.cos(0.4), 1 + np.cos(0.25)], abs=1e-3
    )
    assert found["control"] == [0.5, -0.5, -0.25]


def test_warm_start_study_draws_its_picture_and_goes_on(tmp_path, monkeypatch):
    monkeypatch.setattr(warm, "SECONDS", 0.2)
    monkeypatch.setattr(warm, "DRAWN", 2)
    save_untrained(DoubleCartPole(), "mine")
    out = tmp_path / "out"
    arguments = ["kurtz-figure-4", "--out", str(out), "--batch", "2"]
    assert command([*arguments, "--episodes", "1", "--only", "alpha_1"]) == 0
    assert not (out / warm.PICTURE).exists()
    assert command([*arguments, "--episodes", "2"]) == 0
    assert (out / warm.PICTURE).read_bytes().startswith(PNG)
    rough, smooth = (measured(out, f"alpha_{a}")["measures"]["change"]["mean"] for a in (0, 1))
    assert rough > smooth  # from noise afresh at every plan, or from the plan before
    text = (out / "table.md").read_text()
    assert f"| {rough:.4f} ± " in text and "policy mine" in text


def test_rounds_of_a_training_beside_the_policy_fitted_once(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(PushT, "episode_seconds", 0.2)
    offline = save_untrained(PushT(), "push_t_offline")
    run = path_for("tried").with_suffix("")
    run.mkdir()
    for number in (1, 2):
        shutil.copy(offline, run / f"round_{number:03d}.safetensors")
    out = tmp_path / "out"
    arguments = ["brudermueller-figure-4", "--out", str(out), "--episodes", "1", "--batch", "1"]
    with pytest.raises(UsageError, match="no rounds of a training"):
        command(arguments)
    assert command([*arguments, "--checkpoint", "iterative=tried"]) == 0
    assert (out / "figure_4.png").read_bytes().startswith(PNG)
    first, second = measured(out, "round-001"), measured(out, "round-002")
    assert first["options"]["checkpoint"] == str(run / "round_001.safetensors")
    assert first["cem_ratio_mean"] == second["cem_ratio_mean"]  # the same policy
    assert measured(out, "offline")["options"]["checkpoint"] == "push_t_offline"
    capsys.readouterr()
    assert command([*arguments, "--checkpoint", "iterative=tried", "--show"]) == 0
    shown = capsys.readouterr().out
    assert "round 2" in shown and f"{first['cem_ratio_mean']:.2f}" in shown


def test_claims_about_policies_are_measured_once(tmp_path, monkeypatch):
    monkeypatch.setattr(claims, "TASKS", ("pendulum",))
    monkeypatch.setattr(claims, "PLANS", 20)
    monkeypatch.setattr(Pendulum, "episode_seconds", 0.1)
    save_untrained(Pendulum(), "pendulum")
    out = tmp_path / "out"
    arguments = ["kurtz-policies", "--out", str(out), "--episodes", "1", "--batch", "1"]
    assert command(arguments) == 0
    times = json.loads((out / claims.ACTING).read_text())
    own = times["pendulum"]
    assert own["plans"] == 20 and own["hz"] == pytest.approx(1e3 / own["median_ms"], rel=1e-2)
    assert measured(out, "pendulum-seeded")["options"]["samples"] == 16
    assert measured(out, "pendulum-ps")["options"]["samples"] == 64
    assert measured(out, "pendulum-gpc")["episodes"][0]["seed"] == episode_seed(0, 0)
    text = (out / "table.md").read_text()
    assert f"| Pendulum | {own['hz']:.0f} |" in text
    assert command(arguments) == 0
    assert json.loads((out / claims.ACTING).read_text()) == times  # not timed again
    save_untrained(Pendulum(), "pendulum", seed=1)
    with pytest.raises(UsageError, match="checkpoint_digest"):
        command(arguments)


def test_the_training_in_the_documentation_is_that_of_the_preset():
    text = (Path(__file__).parents[2] / "docs" / "reproduce.md").read_text()
    written = " ".join(text.replace("\\\n", " ").split())
    assert f"./{cost.PRESETS['pendulum'].train('pendulum')}" in written
