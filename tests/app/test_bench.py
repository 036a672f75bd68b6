import json
from dataclasses import replace

import numpy as np
import pytest

from gpc_studio.app import bench
from gpc_studio.app.errors import UsageError
from gpc_studio.controllers.planner import Planner
from gpc_studio.scenes import load_task


@pytest.mark.parametrize(
    ("name", "samples", "steps"), [("push_t", 32, 300), ("cart_pole", 32, 100)]
)
def test_the_reference_settings_are_always_measured(name, samples, steps):
    task = load_task(name)
    found = [
        (case.options.engine, case.options.samples, round(case.options.horizon / task.dt))
        for case in bench.cases(task, "mppi")
    ]
    assert ("native", samples, steps) in found
    assert len(found) == len(set(found))


def test_every_task_is_measured_at_its_default_and_three_sizes_on_each_engine():
    task = load_task("pendulum")
    default = bench.choose_controller(task, "cem").samples
    for engine in ("native", "analytic"):
        sizes = {c.options.samples for c in bench.cases(task, "cem") if c.options.engine == engine}
        assert sizes == {default, 32, 128, 1024}


@pytest.mark.parametrize("engine", ["native", "analytic"])
def test_a_row_compares_step_and_rollout(engine):
    task = load_task("pendulum")
    case = bench.cases(task, "mppi")[0]
    case = case._replace(options=replace(case.options, samples=8, horizon=0.4, engine=engine))
    row = bench.measure(case, repeats=5, threads=1)
    assert row["engine"] == engine
    assert (row["task"], row["controller"], row["samples"]) == ("pendulum", "mppi", 8)
    assert row["steps"] == round(0.4 / task.dt)
    # A step contains its rollout; medians of five may still be disturbed.
    assert row["plan_ms"] > 0.8 * row["rollout_ms"] > 0
    assert row["ratio"] == pytest.approx(row["plan_ms"] / row["rollout_ms"])


def test_rows_of_an_engine_stand_together_fewest_samples_first():
    rows = [
        (c.options.engine, c.options.samples) for c in bench.cases(load_task("pendulum"), "cem")
    ]
    assert rows == sorted(rows, key=lambda row: (row[0] != "native", row[1]))
    assert rows[0] == ("native", 32)


def test_engines_are_compared_at_equal_sizes():
    def row(engine, samples, rollout_ms):
        size = {"task": "push_t", "samples": samples, "steps": 300}
        return {"engine": engine, "rollout_ms": rollout_ms, **size}

    rows = [row("native", 32, 12.0), row("native", 1024, 400.0), row("analytic", 1024, 10.0)]
    assert bench.times_native(rows[2], rows) == 40.0
    assert bench.times_native(rows[1], rows) == 1.0
    assert bench.times_native(row("analytic", 64, 1.0), rows) is None
    assert bench.times_native(row("analytic", 32, None), rows) is None


def test_a_bare_rollout_has_exactly_the_steps_of_the_plan():
    task = load_task("push_t")  # its sensors need a step more for planning
    assert task.model.nsensordata
    options = replace(
        bench.choose_controller(task, "mppi"), samples=4, horizon=0.2, engine="native"
    )
    planner = Planner(task, "mppi", options, threads=1)
    state = bench._start_state(task)
    weights = task.default_weights()
    _, plan, _ = planner.step(planner.start(state, [0]), state, options, weights)
    taken, roll_out = [], planner.engine._batch.rollout

    def spy(steps, control, **arguments):
        taken.append((steps, control.copy(), arguments["out"]))
        return roll_out(steps, control, **arguments)

    planner.engine._batch.rollout = spy
    planner.engine.run()
    planner.engine.run()
    (steps, control, out), (_, _, again) = taken
    assert steps == control.shape[1] == planner.steps
    assert all(out[name] is again[name] for name in ("qpos", "qvel", "sensordata"))
    np.testing.assert_array_equal(out["qpos"].astype(np.float32), plan.qpos[0][:, 1:])
    planner.close()


def test_rows_are_written(tmp_path, monkeypatch, capsys):
    task = load_task("pendulum")
    options = replace(bench.choose_controller(task, "mppi"), samples=8, horizon=0.4)
    monkeypatch.setattr(bench, "cases", lambda *_: [bench.Case(task, "mppi", options)])
    out = tmp_path / "bench.json"
    assert bench.command(["pendulum", "--repeats", "2", "--out", str(out)]) == 0
    (row,) = json.loads(out.read_text())["rows"]
    assert set(row) == {
        "task", "controller", "engine", "samples", "steps", "plan_ms", "rollout_ms", "ratio",
    }  # fmt: skip
    assert "pendulum" in capsys.readouterr().out


@pytest.mark.parametrize(("flag", "value"), [("--repeats", "0"), ("--threads", "-1")])
def test_nonsense_is_refused(flag, value):
    with pytest.raises(UsageError, match=flag):
        bench.command(["pendulum", flag, value])
