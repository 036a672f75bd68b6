"""Figure 4 of Kurtz & Burdick: the double cart-pole under the policy alone, by warm start."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gpc_studio.app.evaluate.course import Course, Measure, StepValues, stepwise
from gpc_studio.app.evaluate.statistics import wilson_interval
from gpc_studio.app.reproduce import policies
from gpc_studio.app.reproduce import rows as measuring
from gpc_studio.app.reproduce.report import Grid, shown, spread_text, success_text
from gpc_studio.app.reproduce.rows import Measured, Row
from gpc_studio.app.reproduce.study import Context, Shown, Study
from gpc_studio.scenes import load_task

if TYPE_CHECKING:
    from gpc_studio.scenes.state import State
    from gpc_studio.scenes.task import Task

TASK = "double_cart_pole"
EPISODES = 100
DRAWN = 4
"""Episodes in the picture: the first ones."""
BATCH = 20
SECONDS, LAST, HELD = 10.0, 5.0, 2.0
"""Length of an episode, its last part, and how long upright must be held, s."""
WITHIN = 0.3
"""Angle from upright within which a pole counts as up, rad."""
PICTURE = "figure_4.png"


@dataclass(frozen=True)
class Upright(Measure):
    """How smooth the control is, and how long both poles are up.

    Attributes:
        path: Whether heights of the tip and controls are kept as well, for a picture.
    """

    path: bool = False

    def values(self, task: Task) -> StepValues:
        """Height of the tip above the cart, m, whether both poles are up, control (E, P, 3)."""
        import jax.numpy as jnp

        del task
        lowest = np.cos(WITHIN)

        def one(before: State, after: State, control: Any) -> Any:
            del before
            inner, outer = -jnp.cos(after.qpos[1]), -jnp.cos(after.qpos[1] + after.qpos[2])
            up = jnp.minimum(inner, outer) > lowest
            return jnp.stack([inner + outer, up.astype(jnp.float32), control[0]])

        return stepwise(one)

    def figures(self, values: np.ndarray, dt: float) -> dict[str, Any]:
        """Mean absolute change of the control from step to step, and times upright."""
        height, up, control = values.T
        found: dict[str, Any] = {
            "change": float(np.mean(np.abs(np.diff(control)))) if len(control) > 1 else None,
            "upright_last": float(np.mean(up[-round(LAST / dt) :])),
            "upright_after": _held_since(up > 0.5, round(HELD / dt), dt),
        }
        if self.path:
            found |= {"height": height.round(3).tolist(), "control": control.round(4).tolist()}
        return found


def _held_since(up: np.ndarray, steps: int, dt: float) -> float | None:
    """Time after which both poles stay up for `steps` steps, s; None where they never do."""
    run = 0
    for step, standing in enumerate(up, 1):
        run = run + 1 if standing else 0
        if run == steps:
            return round((step - steps + 1) * dt, 6)
    return None


def row(alpha: int, checkpoint: str, steps: int) -> Row:
    """The policy alone at a warm start of `alpha`."""
    options = {"warm_start": str(alpha)}
    if checkpoint:
        options["checkpoint"] = checkpoint
    course = Course(Upright(), (steps,))
    return Row(f"alpha_{alpha}", f"alpha {alpha}", TASK, "gpc", options, course=course)


def drawn(shown_row: Row) -> Row:
    """The first episodes of a row again, with their paths."""
    assert shown_row.course is not None
    course = replace(shown_row.course, measure=Upright(path=True))
    return replace(shown_row, name=f"{shown_row.name}_path", course=course, episodes=DRAWN)


@dataclass(frozen=True)
class WarmStartStudy(Study):
    """Policy alone, alpha = 0 against alpha = 1."""

    @property
    def policies(self) -> Sequence[str]:
        """One."""
        return (TASK,)

    def rows(self, context: Context) -> Sequence[Row]:
        """See `Study.rows`."""
        task = load_task(TASK)
        checkpoint = policies.chosen(context, TASK, task)
        return [row(alpha, checkpoint, round(SECONDS / task.dt)) for alpha in (0, 1)]

    def run(self, context: Context, rows: Sequence[Row]) -> int:
        """See `Study.run`."""
        checkpoint = policies.chosen(context, TASK, load_task(TASK))
        policies.need({TASK: checkpoint}, {TASK: f"gpc-studio train {TASK}"})
        wanted = [*rows, *map(drawn, rows)]
        return measuring.measure(context, wanted, episodes=EPISODES, batch=BATCH)

    def show(self, context: Context) -> Shown:
        """See `Study.show`."""
        rows = self.rows(context)
        paths = [drawn(one) for one in rows]
        measured = measuring.found(context.folder, [*rows, *paths])
        cells = tuple(_cells(one, measured.get(one.name, {})) for one in rows)
        columns = ("", "n", "change", "upright", "held", "after, s")
        used = policies.used(measured.values())
        title = load_task(TASK).title + (f", policy {used}" if used else "")
        if all(path.name in measured for path in paths):
            draw(context.folder / PICTURE, {p.title: measured[p.name] for p in paths})
        return shown(self, [Grid(title, columns, cells)], _NOTES)


_NOTES = (
    "change: mean absolute change of the control from one simulation step (0.01 s) to the next, of"
    " a range of -1 to 1; mean ± sd over the episodes.",
    "upright: share of the last 5 s of 10 with both poles within 0.3 rad of upright.",
    "held: share of the episodes in which they stay up for 2 s, with its 95 % interval, and after"
    " how long.",
    "The paper gives no numbers: without warm start the control is dominated by jitter between"
    " modes and the poles are not balanced, with it they are.",
)


def _cells(one: Row, measured: Measured) -> tuple[str, ...]:
    episodes = measured.get("episodes") or []
    figures = measured.get("measures", {})

    def spread(name: str, digits: int, scale: float = 1.0) -> str:
        found = figures.get(name, {})
        mean, sd = found.get("mean"), found.get("sd")
        return spread_text(
            None if mean is None else scale * mean, None if sd is None else scale * sd, digits
        )

    held = sum((e.get("measures") or {}).get("upright_after") is not None for e in episodes)
    share = success_text(held / len(episodes), wilson_interval(held, len(episodes))) \
        if episodes else "-"  # fmt: skip
    return (
        one.title,
        str(len(episodes)) if episodes else "-",
        spread("change", 4),
        spread("upright_last", 0, 100.0) + (" %" if episodes else ""),
        share,
        spread("upright_after", 1),
    )


def draw(path: Path, columns: Mapping[str, Measured]) -> None:
    """Controls and heights of the tip over time, a column for every row.

    Args:
        path: The PNG.
        columns: Measured rows with paths, by title.
    """
    from gpc_studio.app.reproduce import picture

    dt = load_task(TASK).dt
    figure = picture.new_figure("Double cart-pole, policy alone, without and with warm start",
                                9.6, 5.0)  # fmt: skip
    axes = figure.subplots(2, len(columns), sharex=True, sharey="row", squeeze=False)
    for column, (title, measured) in enumerate(columns.items()):
        control, height = axes[0][column], axes[1][column]
        picture.plain(control, f"{title}: control")
        picture.plain(height, "Height of the tip above the cart, m")
        paths = [e["measures"] for e in measured["episodes"] if e.get("measures")]
        for number, found in enumerate(paths):
            time = dt * np.arange(1, len(found["height"]) + 1)
            first = number == 0
            style: dict[str, Any] = {"lw": 1.3 if first else 1.0, "alpha": 1.0 if first else 0.45}
            if first:  # the controls of several would hide each other
                control.plot(time, found["control"], color=picture.ORANGE, lw=0.8)
            colour = picture.BLUE if first else picture.FAINT
            height.plot(time, found["height"], color=colour, zorder=3 if first else 2, **style)
        height.axhline(2.0, color=picture.GREEN, lw=1.0, ls=(0, (4, 3)), zorder=1)
        height.set_xlabel("time, s", color=picture.FAINT, fontsize=9)
        height.set_xlim(0.0, SECONDS)
        control.set_ylim(-1.08, 1.08)
        height.set_ylim(-2.15, 2.25)
    picture.save(figure, path)


STUDY = WarmStartStudy(
    name="kurtz-figure-4",
    title="Double cart-pole, policy alone: without (alpha 0) and with warm start (alpha 1)",
    source='Kurtz & Burdick, "Generative Predictive Control", 2025, arXiv 2502.13406, Fig. 4',
)
