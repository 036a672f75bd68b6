"""What Kurtz & Burdick claim of trained policies: good alone, good as seeds, and fast."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gpc_studio.app.errors import UsageError
from gpc_studio.app.reproduce import policies
from gpc_studio.app.reproduce import rows as measuring
from gpc_studio.app.reproduce.report import Grid, shown, spread_text, success_text
from gpc_studio.app.reproduce.rows import Measured, Row
from gpc_studio.app.reproduce.study import Context, Shown, Study
from gpc_studio.scenes import load_task

TASKS = ("pendulum", "cart_pole", "double_cart_pole")
EPISODES = 100
BATCH = 20
PLANS = 2000
"""Planning steps timed."""
ACTING = "acting.json"
INFERENCE_MS = {"pendulum": 1.0, "cart_pole": 1.3, "double_cart_pole": 1.3}
"""Table I of the paper: inference on an RTX 4070, ms."""


def task_rows(name: str, checkpoint: str) -> tuple[Row, ...]:
    """The rows of one task."""
    from gpc_studio.app.choice import choose_controller

    task = load_task(name)
    samples = choose_controller(task, "predictive_sampling").samples
    quarter = str(max(2, samples // 4))
    own = {"checkpoint": checkpoint} if checkpoint else {}
    return (
        Row(f"{name}-gpc", "GPC, policy alone", name, "gpc", own),
        Row(f"{name}-seeded", f"GPC-PS, {quarter} samples", name, "gpc_ps",
            {"samples": quarter, **own}),
        Row(f"{name}-ps-quarter", f"PS, {quarter} samples", name, "predictive_sampling",
            {"samples": quarter}),
        Row(f"{name}-ps", f"PS, {samples} samples", name, "predictive_sampling",
            {"samples": str(samples)}),
    )  # fmt: skip


@dataclass(frozen=True)
class PoliciesStudy(Study):
    """Success of the policy alone, of seeded and unseeded sampling, and the acting rate."""

    @property
    def policies(self) -> Sequence[str]:
        """One for each task."""
        return TASKS

    def rows(self, context: Context) -> Sequence[Row]:
        """See `Study.rows`."""
        return [row for name in TASKS for row in task_rows(name, _checkpoint(context, name))]

    def run(self, context: Context, rows: Sequence[Row]) -> int:
        """See `Study.run`."""
        with_policy = {row.task for row in rows if row.controller.startswith("gpc")}
        needed = {name: _checkpoint(context, name) for name in TASKS if name in with_policy}
        policies.need(needed, {name: f"gpc-studio train {name}" for name in TASKS})
        try:
            for row in rows:
                if row.controller == "gpc":
                    _time(context.folder, row)
        except KeyboardInterrupt:
            return 130
        return measuring.measure(context, rows, episodes=EPISODES, batch=BATCH)

    def show(self, context: Context) -> Shown:
        """See `Study.show`."""
        rows = self.rows(context)
        measured = measuring.found(context.folder, rows)
        grids = []
        for name in TASKS:
            own = [row for row in rows if row.task == name]
            used = policies.used(measured.get(row.name, {}) for row in own)
            title = load_task(name).title + (f", policy {used}" if used else "")
            cells = tuple(_cells(row, measured.get(row.name, {})) for row in own)
            grids.append(Grid(title, ("", "episodes", "success", "steps"), cells))
        times = _read(context.folder / ACTING)
        cells = tuple(_acting_cells(name, times.get(name)) for name in TASKS)
        columns = ("", "Hz", "median ms", "95 % below", "paper, ms")
        grids.append(Grid("Acting with gpc, one core", columns, cells))
        return shown(self, grids, _NOTES)


_NOTES = (
    "Success with its 95 % interval: upright for 2 s within 10 s. Steps of the simulation until"
    " then, mean ± sd of the successful episodes. GPC-PS: half of the samples are the policy's.",
    "Acting: whole planning steps, from the state to the controls, each for one episode, 10 flow"
    " steps. The paper's time is of inference on an RTX 4070.",
)


def _checkpoint(context: Context, task: str) -> str:
    return policies.chosen(context, task, load_task(task))


def _time(folder: Path, row: Row) -> None:
    """Times the policy of a row, unless it was."""
    from rich.console import Console
    from rich.progress import Progress

    from gpc_studio.app.evaluate.command import controller_options, policy_digest
    from gpc_studio.app.evaluate.results import versions, write_json
    from gpc_studio.app.reproduce.acting import acting_times

    task = load_task(row.task)
    options = controller_options(task, row.controller, row.options)[row.controller]
    facts = {**policy_digest(task, options), "versions": versions()}
    times = _read(folder / ACTING)
    if {name: times.get(row.task, {}).get(name) for name in facts} == facts:
        return
    with Progress(console=Console(stderr=True)) as progress:
        bar = progress.add_task(f"{row.task}: acting", total=PLANS)
        found = acting_times(task, options, PLANS, lambda: progress.advance(bar))
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / ACTING, {**times, row.task: {**found, **facts}})


def _read(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return {name: dict(times) for name, times in content.items()}
    except (ValueError, TypeError, AttributeError) as error:
        raise UsageError(f"{path}: not times of acting ({error!r:.80}); remove it") from None


def _cells(row: Row, measured: Measured) -> tuple[str, ...]:
    episodes = measured.get("episodes") or []
    return (
        row.title,
        str(len(episodes)) if episodes else "-",
        success_text(measured.get("success_rate"), measured.get("wilson95")),
        spread_text(measured.get("steps_mean"), measured.get("steps_sd"), 0),
    )


def _acting_cells(task: str, times: Mapping[str, Any] | None) -> tuple[str, ...]:
    own = ("-", "-", "-")
    if times:
        own = f"{times['hz']:.0f}", f"{times['median_ms']:.3f}", f"{times['p95_ms']:.3f} ms"
    return (load_task(task).title, *own, f"{INFERENCE_MS[task]:.1f}")


STUDY = PoliciesStudy(
    name="kurtz-policies",
    title="Pendulum and cart-poles: the policy alone, as a seed of sampling, and how fast it acts",
    source='Kurtz & Burdick, "Generative Predictive Control", 2025, arXiv 2502.13406, Table I',
)
