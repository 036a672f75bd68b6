"""What a dataset holds, on the terminal: counts, success, histograms."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from gpc_studio.models.training.dataset import Dataset

_BLOCKS = " ▁▂▃▄▅▆▇█"
_BINS = 24


def dataset_summary(dataset: Dataset) -> Group:
    """Counts, success and histograms of a dataset.

    Raises:
        DatasetError: A shard is damaged.
    """
    from gpc_studio.models.training.dataset import DatasetError

    settings, records = dataset.settings, dataset.episodes()
    won = [record for record in records if record.success]
    planning = settings["planning"]
    facts = {
        "task": settings["task"],
        "controller": f"{settings['controller']}, {planning['samples']} samples"
        f" x {planning.get('iterations', 1)}, horizon {planning['horizon']:g} s,"
        f" {planning['knots']} knots, {planning['rate']:g} Hz",
        "seed": str(settings["seed"]),
        "episodes": str(len(records)),
        "success": f"{100 * len(won) / len(records):.1f} %" if records else "-",
        "plans kept": f"{sum(record.plans for record in won):,}",
        "size": f"{dataset.size() / 1e6:.1f} MB",
    }
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(style="dim")
    table.add_column()
    for name, text in facts.items():
        table.add_row(name, text)
    parts = [Text(str(dataset.folder), "bold"), table]
    if won:
        parts.append(_histograms(dataset, np.array([record.steps for record in won])))
    elif records:
        parts.append(Text("no episode reached the goal", "yellow"))
    else:
        parts.append(Text(str(DatasetError("nothing collected yet")), "yellow"))
    return Group(*parts)


def _histograms(dataset: Dataset, steps: np.ndarray) -> Table:
    sequences = dataset.sequences()
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for name in ("", "lowest", "distribution", "highest", "mean", "sd"):
        left = name in ("", "distribution")
        table.add_column(name, justify="left" if left else "right", no_wrap=True)
    rows = {"steps to the goal": steps}
    for column in range(sequences.observation.shape[1]):
        rows[f"observation {column}"] = sequences.observation[:, column]
    for control in range(sequences.knots.shape[2]):
        rows[f"knots, control {control}"] = sequences.knots[:, :, control].ravel()
    for name, values in rows.items():
        table.add_row(
            name,
            f"{values.min():.3g}",
            histogram(values),
            f"{values.max():.3g}",
            f"{values.mean():.3g}",
            f"{values.std():.2g}",
        )
    return table


def histogram(values: np.ndarray) -> str:
    """A histogram from the lowest to the highest value in one line of text."""
    counts, _ = np.histogram(values, bins=_BINS)
    top = max(1, counts.max())
    # A bin with anything in it shows at least the lowest block.
    levels = np.ceil(counts / top * (len(_BLOCKS) - 1)).astype(int)
    return "".join(_BLOCKS[level] for level in levels)
