"""Episodes of a fixed length, and what is measured at their steps."""

from dataclasses import dataclass, replace

import jax.numpy as jnp
import numpy as np
import pytest

from gpc_studio.app.choice import choose_controller
from gpc_studio.app.errors import UsageError
from gpc_studio.app.evaluate.command import EvaluateOptions, evaluate
from gpc_studio.app.evaluate.course import Course, Measure, stepwise
from gpc_studio.app.evaluate.episodes import EpisodeRun, LockStep
from gpc_studio.scenes import load_task

pytestmark = pytest.mark.usefixtures("compile_once")


@dataclass(frozen=True)
class Paths(Measure):
    """Angles before and after every step, and the control."""

    kept: int = 1000

    def values(self, task):
        return stepwise(lambda before, after, control: jnp.stack(
            [before.time, before.qpos[0], after.qpos[0], control[0]]
        ))  # fmt: skip

    def figures(self, values, dt):
        names = ("time", "before", "after", "control")
        return {n: v[: self.kept].tolist() for n, v in zip(names, values.T, strict=True)} | {
            "mean": float(np.mean(values[:, 2]))
        }


def run(course, trials=2, batch=2, rate=20.0):
    task = load_task("pendulum")
    options = replace(choose_controller(task, "mppi"), samples=16, horizon=0.6, rate=rate)
    lock_step = LockStep(
        EpisodeRun(
            "pendulum", "mppi", options, task.default_weights(), course.starts(0, trials), batch,
            threads=1, measure=course.measure,
        )
    )  # fmt: skip
    found = [result for period in lock_step.periods() for result in period.results]
    return sorted(found, key=lambda result: result.index)


def test_episodes_run_to_their_length_and_measure_every_step():
    results = run(Course(Paths(), (7, 4)))
    assert [len(result.measures["after"]) for result in results] == [7, 4, 7, 4]
    assert [result.steps for result in results] == [7, 4, 7, 4]
    for result in results:
        path = result.measures
        assert path["before"][1:] == path["after"][:-1]  # over the ends of periods too
        np.testing.assert_allclose(np.diff(path["time"]), 0.02, atol=1e-6)
        assert path["mean"] == pytest.approx(np.mean(path["after"]))
    starts = {result.measures["before"][0] for result in results}
    assert len(starts) == 4  # every one is random


def test_success_does_not_end_them_and_is_told_since_its_first_hold():
    (result,) = run(Course(Paths(), (400,)), trials=1, batch=1)
    assert result.success and len(result.measures["after"]) == 400
    angle = np.array(result.measures["after"])
    upright = np.cos(angle - np.pi) > np.cos(0.2)
    assert upright[result.steps - 1] and upright[result.steps : result.steps + 100].all()


def test_results_of_another_measure_or_length_are_not_mixed_in(tmp_path):
    wanted = EvaluateOptions(
        "pendulum", "mppi", episodes=1, batch=1, set=("samples=4",), out=tmp_path / "r.json"
    )
    content = evaluate(wanted, "typed", Course(Paths(3), (5, 5)))
    (row,) = content["rows"]
    assert len(row["episodes"]) == 2
    means = [episode["measures"]["mean"] for episode in row["episodes"]]
    assert row["measures"]["mean"]["mean"] == pytest.approx(np.mean(means))
    again = evaluate(wanted, "typed", Course(Paths(3), (5, 5)))
    assert again["rows"][0]["episodes"] == row["episodes"]
    for other in (Course(Paths(4), (5, 5)), Course(Paths(3), (5, 6)), None):
        with pytest.raises(UsageError, match="course"):
            evaluate(wanted, "typed", other)
