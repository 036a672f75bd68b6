"""Cost per simulation step of Kurtz & Burdick's controllers, under their protocol."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from gpc_studio.app.evaluate.course import Course, Measure, StepValues, stepwise
from gpc_studio.app.evaluate.statistics import mean_and_sd
from gpc_studio.app.reproduce import policies
from gpc_studio.app.reproduce import rows as measuring
from gpc_studio.app.reproduce.report import Grid, shown, spread_text
from gpc_studio.app.reproduce.rows import Measured, Published, Row
from gpc_studio.app.reproduce.study import Context, Shown, Study
from gpc_studio.scenes import load_task

if TYPE_CHECKING:
    from gpc_studio.scenes.state import State
    from gpc_studio.scenes.task import Task

TRIALS = 100
BATCH = 20
SECONDS = 10.0
"""Simulated time of one random start, s."""


@dataclass(frozen=True)
class Preset:
    """The setting `paper` of a task: that of the public gpc examples, on hydrax v0.0.1.

    Attributes:
        episode: Steps after which a new random state is drawn.
        horizon: Steps of the planning horizon.
        options: Planning options of all controllers. A plan of n held controls has n + 1 knots
            here, since the last knot lies at the end of the horizon, where nothing is simulated.
        noise: Standard deviation of the Gaussian samples that are compared.
        weights: Cost weights where those of hydrax differ from the task's.
        training: Flags of `train` beside `options` and `weights`; how a policy is trained is left
            to us, as long as its plans are those of the protocol.
        rail: Half of the rail, m, where there is one.
        published: The authors' figures, by row.
    """

    episode: int
    horizon: int
    options: Mapping[str, str]
    noise: str
    published: Mapping[str, Published]
    training: str
    weights: Mapping[str, str] = field(default_factory=dict)
    rail: float | None = None

    def train(self, task: str) -> str:
        """The command that trains the policy."""
        flags = measuring.flags(self.options, self.weights)
        name = checkpoint_name(task)
        return f"gpc-studio train {task} --method gpc --name {name} {flags} {self.training}"


PRESETS: Mapping[str, Preset] = {
    "pendulum": Preset(
        episode=200, horizon=25, noise="0.1",
        options={"horizon": "0.5", "knots": "6", "spline": "zero", "rate": "50"},
        published={
            "spc": Published(cost=0.923, cost_sd=0.43), "gpc-0": Published(cost=0.913),
            "gpc": Published(cost=0.811, cost_sd=0.34),
            "seeded": Published(cost=0.736, cost_sd=0.29),
        },
        training="--plans 200 --gaussian-samples 16 --policy-samples 4 --noise 0.2 --width 64"
        " --iterations 10 --epochs 60",
    ),
    "cart_pole": Preset(
        episode=200, horizon=100, noise="0.1", rail=1.8,
        options={"horizon": "1.0", "knots": "11", "spline": "zero", "rate": "100"},
        published={
            "spc": Published(cost=2.90, cost_sd=0.81), "gpc-0": Published(cost=2.34),
            "gpc": Published(cost=2.11, cost_sd=0.55), "seeded": Published(cost=1.96, cost_sd=0.47),
        },
        training="--plans 200 --gaussian-samples 16 --policy-samples 4 --noise 0.2 --epochs 60",
    ),
    "double_cart_pole": Preset(
        episode=400, horizon=80, noise="0.3", rail=3.8,
        options={"horizon": "0.8", "knots": "11", "spline": "zero", "rate": "100"},
        weights={"position": "0", "final_position": "10", "final_speed": "1"},
        published={
            "spc": Published(cost=8.59, cost_sd=2.0), "gpc-0": Published(cost=12.9),
            "gpc": Published(cost=10.5, cost_sd=2.6), "seeded": Published(cost=7.30, cost_sd=1.7),
        },
        training="--plans 400 --gaussian-samples 16 --policy-samples 16 --noise 0.3",
    ),
}  # fmt: skip


@dataclass(frozen=True)
class CostPerStep(Measure):
    """Weighted cost of a step, and how long the cart was beyond the marks of its rail.

    Attributes:
        weights: Weight of every cost term that counts.
        horizon: Steps of the planning horizon, at whose end the terminal cost is added.
        rail: Half of the rail, m.
    """

    weights: tuple[tuple[str, float], ...]
    horizon: int
    rail: float | None

    def values(self, task: Task) -> StepValues:
        """Running cost before the step, terminal cost after it, and whether beyond (E, P, 3)."""
        import jax.numpy as jnp

        weights = dict(self.weights)

        def total(terms: Mapping[str, Any]) -> Any:
            return sum(weights[name] * term for name, term in terms.items() if name in weights)

        def one(before: State, after: State, control: Any) -> Any:
            beyond = False if self.rail is None else abs(after.qpos[0]) > self.rail
            running, terminal = task.cost_terms(before, control), task.terminal_terms(after)
            return jnp.stack([total(running), total(terminal), jnp.asarray(beyond, jnp.float32)])

        return stepwise(one)

    def figures(self, values: np.ndarray, dt: float) -> dict[str, Any]:
        """Cost per step, of it the terminal one, and the share of the steps beyond the marks."""
        del dt
        running, terminal, beyond = values.T
        final = float(np.sum(terminal[self.horizon - 1 :: self.horizon])) / len(values)
        cost = float(np.mean(running)) + final
        return {"cost": cost, "terminal": final, "beyond": float(np.mean(beyond))}


_ROWS = (
    ("spc", "SPC, 128 samples", "predictive_sampling", {"samples": "128"}),
    ("gpc-0", "GPC, alpha 0", "gpc", {"warm_start": "0", "flow_steps": "10"}),
    ("gpc", "GPC, alpha 1", "gpc", {"warm_start": "1", "flow_steps": "10"}),
    (
        "seeded", "GPC-seeded, 64 + 64", "gpc_ps",
        {"samples": "128", "policy_share": "50", "warm_start": "0", "flow_steps": "10"},
    ),
)  # fmt: skip


def checkpoint_name(task: str) -> str:
    """What the policy trained under the preset is called."""
    return f"{task}_paper"


def task_rows(name: str, checkpoint: str) -> tuple[Row, ...]:
    """The rows of one task, with a policy."""
    preset, task = PRESETS[name], load_task(name)
    weights = task.default_weights() | {k: float(v) for k, v in preset.weights.items()}
    counted = tuple((term, value) for term, value in weights.items() if term != "rail")
    steps, lengths = round(SECONDS / task.dt), []
    while sum(lengths) < steps:
        lengths.append(min(preset.episode, steps - sum(lengths)))
    course = Course(CostPerStep(counted, preset.horizon, preset.rail), tuple(lengths))
    rows = []
    for row, title, controller, own in _ROWS:
        options = {**preset.options, **own}
        options |= {"noise": preset.noise} if controller != "gpc" else {}
        options |= {"checkpoint": checkpoint} if controller.startswith("gpc") and checkpoint else {}
        rows.append(
            Row(
                f"{name}-{row}", title, name, controller, options, preset.published[row],
                weights=preset.weights, course=course,
            )
        )  # fmt: skip
    return tuple(rows)


def cost_of_starts(row: Row, measured: Measured) -> list[float]:
    """Cost per step of every random start that is measured whole."""
    assert row.course is not None
    lengths = row.course.lengths
    episodes = {e["index"]: e for e in measured.get("episodes", []) if e.get("measures")}
    costs = []
    for trial in range(len(measured.get("episodes", [])) // len(lengths) + 1):
        parts = [episodes.get(trial * len(lengths) + part) for part in range(len(lengths))]
        if all(part is not None and not part["diverged"] for part in parts):
            own = [cast(Measured, part)["measures"]["cost"] for part in parts]
            costs.append(float(np.average(own, weights=lengths)))
    return costs


@dataclass(frozen=True)
class CostPerStepStudy(Study):
    """Three tasks, each with sampling alone, the policy alone, and both."""

    @property
    def policies(self) -> Sequence[str]:
        """One for each task."""
        return tuple(PRESETS)

    def rows(self, context: Context) -> Sequence[Row]:
        """See `Study.rows`."""
        return [row for name in PRESETS for row in task_rows(name, _checkpoint(context, name))]

    def run(self, context: Context, rows: Sequence[Row]) -> int:
        """See `Study.run`."""
        with_policy = {row.task for row in rows if row.controller.startswith("gpc")}
        policies.need(
            {name: _checkpoint(context, name) for name in PRESETS if name in with_policy},
            {name: preset.train(name) for name, preset in PRESETS.items()},
        )
        return measuring.measure(context, rows, episodes=TRIALS, batch=BATCH)

    def show(self, context: Context) -> Shown:
        """See `Study.show`."""
        rows = self.rows(context)
        measured = measuring.found(context.folder, rows)
        grids = []
        for name in PRESETS:
            own = [row for row in rows if row.task == name]
            cells = tuple(_cells(row, measured.get(row.name, {})) for row in own)
            title = load_task(name).title
            used = policies.used(measured.get(row.name, {}) for row in own)
            title += f", policy {used}" if used else ""
            grids.append(Grid(title, ("", "starts", "cost/step", "authors", "beyond"), cells))
        return shown(self, grids, (*_NOTES, *_preset_notes()))


_NOTES = (
    "Cost of a simulation step, mean ± sd over random starts of 10 s; a new state is drawn every"
    " 200 steps (double cart-pole: 400); the terminal cost is added once every horizon. Plans are"
    " made at every step.",
    "Rail: theirs has hard stops at its ends; here it goes on beyond them, and the planners pay for"
    " it (the cost term rail), but that term is not counted. beyond: share of the steps beyond.",
    "Rows of a task are to be compared with each other first: SPC has no policy, so what parts it"
    " from the authors' figure is the protocol, perhaps the rail, and the drawn starts.",
    "Authors' figures: branch rl of github.com/vincekurtz/gpc.",
)


def _checkpoint(context: Context, task: str) -> str:
    return policies.chosen(context, task, load_task(task), checkpoint_name(task))


def _preset_notes() -> list[str]:
    notes = []
    for name, preset in PRESETS.items():
        options = {**preset.options, "noise": preset.noise}
        notes.append(f"Preset of {name}: {measuring.flags(options, preset.weights)}")
        notes.append(f"Its policy: {preset.train(name)}")
    return notes


def _cells(row: Row, measured: Measured) -> tuple[str, ...]:
    costs = cost_of_starts(row, measured)
    mean, sd = mean_and_sd(costs)
    beyond = measured.get("measures", {}).get("beyond", {}).get("mean")
    if PRESETS[row.task].rail is None:
        beyond = None
    return (
        row.title,
        str(len(costs)) if costs else "-",
        spread_text(mean, sd, 3),
        spread_text(row.paper.cost, row.paper.cost_sd, 3),
        "-" if beyond is None else f"{100 * beyond:.1f} %",
    )


STUDY = CostPerStepStudy(
    name="kurtz-cost-per-step",
    title="Cost per simulation step over random starts: sampling, policy, and both",
    source=(
        'Kurtz & Burdick, "Generative Predictive Control", 2025, arXiv 2502.13406; figures of its'
        " public code"
    ),
)
