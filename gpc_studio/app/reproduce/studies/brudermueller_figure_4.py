"""Figure 4 of Brudermueller et al.: policies of iterative training on Push-T, round by round."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gpc_studio.app.errors import UsageError
from gpc_studio.app.reproduce import policies
from gpc_studio.app.reproduce import rows as measuring
from gpc_studio.app.reproduce.report import Grid, shown, spread_text, success_text
from gpc_studio.app.reproduce.rows import Measured, Published, Row
from gpc_studio.app.reproduce.study import Context, Shown, Study
from gpc_studio.scenes import load_task

TASK = "push_t"
EPISODES = 100
BATCH = 8
PICTURE = "figure_4.png"
ITERATIVE, OFFLINE = "iterative", "offline"
COMMANDS = {
    ITERATIVE: f"gpc-studio train {TASK} --method gpc",
    OFFLINE: f"gpc-studio train {TASK} --method offline",
}


@dataclass(frozen=True)
class RoundsStudy(Study):
    """GPC-CEM with the policy of every round of `--method gpc`, and with that of `offline`."""

    @property
    def policies(self) -> Sequence[str]:
        """The training whose rounds are measured, and the policy fitted once."""
        return (ITERATIVE, OFFLINE)

    def rows(self, context: Context) -> Sequence[Row]:
        """See `Study.rows`."""
        task = load_task(TASK)
        chosen = context.checkpoints.get(ITERATIVE, f"{TASK}_gpc")
        rounds = _rounds(chosen)
        offline = policies.chosen(context, OFFLINE, task, f"{TASK}_offline")
        return [
            *(_row(f"round-{number:03d}", f"round {number}", str(path)) for number, path in rounds),
            _row(OFFLINE, "fitted once, offline", offline, _GPC_CEM),
        ]

    def run(self, context: Context, rows: Sequence[Row]) -> int:
        """See `Study.run`."""
        if not context.only:
            _check_rounds(rows)
        if any(row.name == OFFLINE for row in rows):
            offline = policies.chosen(context, OFFLINE, load_task(TASK), f"{TASK}_offline")
            policies.need({OFFLINE: offline}, COMMANDS)
        return measuring.measure(context, rows, episodes=EPISODES, batch=BATCH)

    def show(self, context: Context) -> Shown:
        """See `Study.show`."""
        rows = self.rows(context)
        measured = measuring.found(context.folder, rows)
        cells = tuple(_cells(row, measured.get(row.name, {})) for row in rows)
        grid = Grid(load_task(TASK).title, ("", "episodes", "success", "steps", "CEM ratio"), cells)
        if any(name != OFFLINE for name in measured):
            draw(context.folder / PICTURE, rows, measured)
        return shown(self, [grid], _NOTES)


_UNPUBLISHED = Published()
_GPC_CEM = Published(0.998, (0.996, 0.999), 591.11, 267.20, 0.33, 0.10)

_NOTES = (
    "CEM ratio: share of the plans whose best sample was not the policy's, mean ± sd of the"
    " episodes. Success with its 95 % interval, steps of the successful episodes.",
    "The paper: with the rounds of iterative training success and CEM ratio fall; fitted once,"
    " GPC-CEM (10) succeeds in 0.998 at a CEM ratio of 0.33 ± 0.10 (Table I).",
)


def _rounds(training: str) -> list[tuple[int, Path]]:
    """Policies after the rounds of a training, by its name or the file of its checkpoint."""
    from gpc_studio.models import library

    try:
        file = Path(training).expanduser() if "/" in training else library.path_for(
            training.removesuffix(library.SUFFIX)
        )  # fmt: skip
    except library.CheckpointError as error:
        raise UsageError(str(error)) from None
    found = []
    for path in sorted(file.with_suffix("").glob(f"round_*{library.SUFFIX}")):
        match = re.fullmatch(r"round_(\d+)", path.stem)
        if match:
            found.append((int(match[1]), path))
    return found


def _check_rounds(rows: Sequence[Row]) -> None:
    if all(row.name == OFFLINE for row in rows):
        raise UsageError(
            f"no rounds of a training on {TASK}: `{COMMANDS[ITERATIVE]}` makes them, or name one "
            f"with --checkpoint {ITERATIVE}=NAME"
        )


def _row(name: str, title: str, checkpoint: str, paper: Published = _UNPUBLISHED) -> Row:
    options = {"flow_steps": "10"} | ({"checkpoint": checkpoint} if checkpoint else {})
    return Row(name, title, TASK, "gpc_cem", options, paper)


def _cells(row: Row, measured: Measured) -> tuple[str, ...]:
    episodes = measured.get("episodes") or []
    return (
        row.title,
        str(len(episodes)) if episodes else "-",
        success_text(measured.get("success_rate"), measured.get("wilson95")),
        spread_text(measured.get("steps_mean"), measured.get("steps_sd"), 0),
        spread_text(measured.get("cem_ratio_mean"), measured.get("cem_ratio_sd"), 2),
    )


def draw(path: Path, rows: Sequence[Row], measured: Mapping[str, Measured]) -> None:
    """Success and CEM ratio over the rounds, beside those of the policy fitted once.

    Args:
        path: The PNG.
        rows: Rows of the study.
        measured: Those that have been measured, by name.
    """
    from gpc_studio.app.reproduce import picture

    figure = picture.new_figure("GPC-CEM on Push-T over the rounds of iterative training", 9.6, 3.7)
    axes = figure.subplots(1, 2)
    there = [(int(row.name[-3:]), measured[row.name]) for row in rows
             if row.name != OFFLINE and row.name in measured]  # fmt: skip
    numbers = [number for number, _ in there]
    panels: tuple[tuple[Any, str, str, Any], ...] = (
        (axes[0], "Success", "success_rate", lambda m: m["wilson95"]),
        (axes[1], "CEM sample ratio", "cem_ratio_mean", _ratio_band),
    )
    for ax, title, value, band in panels:
        picture.plain(ax, title)
        bands = [band(m) for _, m in there]
        ax.plot(numbers, [m[value] for _, m in there], color=picture.BLUE, lw=1.8, marker="o",
                ms=3.5, label="iterative")  # fmt: skip
        ax.fill_between(numbers, *zip(*bands, strict=True), color=picture.BLUE, alpha=0.14, lw=0)
        offline = measured.get(OFFLINE)
        if offline:
            low, high = band(offline)
            ax.axhline(offline[value], color=picture.ORANGE, lw=1.8, label="fitted once")
            ax.axhspan(low, high, color=picture.ORANGE, alpha=0.12, lw=0)
        ax.set_ylim(-0.02, 1.02)
        ax.xaxis.get_major_locator().set_params(integer=True)
        ax.set_xlabel("round", color=picture.FAINT, fontsize=9)
        ax.legend(frameon=False, fontsize=8.5, labelcolor=picture.INK)
    picture.save(figure, path)


def _ratio_band(measured: Measured) -> tuple[float, float]:
    mean, sd = measured["cem_ratio_mean"], measured["cem_ratio_sd"] or 0.0
    return max(0.0, mean - sd), min(1.0, mean + sd)


STUDY = RoundsStudy(
    name="brudermueller-figure-4",
    title="GPC-CEM on Push-T: the rounds of iterative training, and a policy fitted once",
    source=(
        'Brudermueller et al., "Generative Models From and For Sampling-Based MPC", 2025, '
        "arXiv 2510.14643, Fig. 4"
    ),
)
