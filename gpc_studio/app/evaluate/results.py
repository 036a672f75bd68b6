"""The results file: written as episodes end, so that an interrupted evaluation goes on."""

from __future__ import annotations

import contextlib
import fcntl
import json
import platform
import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from gpc_studio.app.errors import UsageError
from gpc_studio.app.evaluate.episodes import EpisodeResult
from gpc_studio.app.evaluate.statistics import mean_and_sd, median, wilson_interval
from gpc_studio.files import write_atomically

_PACKAGES = ("gpc-studio", "mujoco", "jax", "numpy")


def versions() -> dict[str, str]:
    """Versions that results depend on."""
    return {"python": platform.python_version(), **{name: version(name) for name in _PACKAGES}}


class ResultsFile:
    """Results of one task, a row for every controller, always complete on disk.

    Attributes:
        path: The JSON file.
        content: What it holds: `task`, `command`, `versions`, `settings`, and `rows`, each with
            `controller`, `engine`, `options`, `episodes` and their figures. Rows cover the
            episodes asked for, 0 to n - 1; those that the file holds beyond are kept in
            `further_episodes` of the row, for when more are asked for.
    """

    def __init__(
        self,
        path: Path,
        task: str,
        command: str,
        settings: Mapping[str, Any],
        *,
        episodes: int,
        fresh: bool,
    ) -> None:
        """Reads the file, or begins one.

        Args:
            path: The JSON file.
            task: Name of the task.
            command: The command as it was typed.
            settings: What all rows share; results of other settings are not mixed in.
            episodes: Number n of the episodes asked for.
            fresh: Whether results in the file are dropped.

        Raises:
            UsageError: The file is no results file, or holds results of other settings.
        """
        self.path = path
        self._episodes = episodes
        self.content: dict[str, Any] = {
            "task": task,
            "command": command,
            "versions": versions(),
            "settings": _as_read(settings),
            "rows": [],
        }
        if path.exists() and not fresh:
            self._continue()

    def begin(self, controller: str, options: Mapping[str, Any]) -> set[int]:
        """Makes the row of a controller if there is none; the indices that it already has.

        Raises:
            UsageError: The row was made with other options.
        """
        if controller not in (row["controller"] for row in self.content["rows"]):
            row = {"controller": controller, "engine": None, "options": _as_read(options)}
            self._fill(row, [])
            self.content["rows"].append(row)
        row = self.row(controller)
        _compare(self.path, f"{controller}: ", row["options"], _as_read(options))
        return {episode["index"] for episode in row["episodes"]}

    def add(self, controller: str, engine: str, result: EpisodeResult) -> None:
        """Adds an episode and brings the figures of its row up to date (not yet on disk)."""
        row = self.row(controller)
        episode = {
            "index": result.index,
            "seed": result.seed,
            "success": result.success,
            "steps": result.steps,
            "final_cost": result.final_cost,
            "plan_ms": round(result.plan_ms, 4),
            "diverged": result.diverged,
        }
        if result.winners is not None:
            episode |= {"winners": dict(result.winners), "cem_ratio": result.cem_ratio}
        if result.measures is not None:
            episode["measures"] = dict(result.measures)
        row["engine"] = engine
        self._fill(row, [*_held(row), episode])

    def save(self) -> None:
        """Writes the file in one piece: it is the old one or the new one, never a part."""
        write_json(self.path, self.content)

    def row(self, controller: str) -> dict[str, Any]:
        """The row of a controller that has one."""
        return next(row for row in self.content["rows"] if row["controller"] == controller)

    def _continue(self) -> None:
        try:
            old = json.loads(self.path.read_text(encoding="utf-8"))
            rows, settings, made_with = old["rows"], old["settings"], old["versions"]
            for row in rows:
                for episode in _held(row):
                    EpisodeResult(**episode)
        except (ValueError, KeyError, TypeError, OSError) as error:
            raise UsageError(
                f"{self.path}: not a results file of `evaluate` ({error!r:.80}); "
                "give another with --out, or --fresh to overwrite it"
            ) from None
        _compare(self.path, "task ", {"": old["task"]}, {"": self.content["task"]})
        _compare(self.path, "", settings, self.content["settings"])
        _compare(self.path, "version of ", made_with, self.content["versions"])
        for row in rows:
            self._fill(row, _held(row))
        self.content["rows"] = rows

    def _fill(self, row: dict[str, Any], episodes: Iterable[dict[str, Any]]) -> None:
        """Deals episodes out to those asked for and the others; figures are of the former."""
        ordered = sorted(episodes, key=lambda episode: episode["index"])
        row["episodes"] = [e for e in ordered if e["index"] < self._episodes]
        row["further_episodes"] = [e for e in ordered if e["index"] >= self._episodes]
        row.update(_figures(row["episodes"]))


@contextlib.contextmanager
def only_writer(path: Path) -> Iterator[None]:
    """Makes the folder, and keeps others from writing the same file, of whom the last would win.

    Raises:
        UsageError: Another evaluation is at it, or nobody may write there.
    """
    lock = path.with_name(f".{path.name}.lock")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        opened = lock.open("w")
    except OSError as error:
        raise UsageError(
            f"{path}: {error.strerror or error}: give another file with --out"
        ) from None
    with opened as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(
                f"{path}: another evaluation is writing it: wait for its end, or give another file"
                " with --out"
            ) from None
        try:
            yield
        finally:
            lock.unlink(missing_ok=True)


def write_json(path: Path, content: Any) -> None:
    """Writes JSON in one piece."""
    text = json.dumps(content, indent=1, allow_nan=False) + "\n"
    write_atomically(path, text.encode())


def _held(row: Mapping[str, Any]) -> list[dict[str, Any]]:
    """All episodes of a row, asked for or not."""
    return [*row["episodes"], *row.get("further_episodes", [])]


def _figures(episodes: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    episodes = list(episodes)
    steps = [episode["steps"] for episode in episodes if episode["success"]]
    mean, sd = mean_and_sd(steps)
    trials = len(episodes)
    return {
        "success_rate": len(steps) / trials if trials else None,
        "wilson95": list(wilson_interval(len(steps), trials)),
        "steps_mean": mean,
        "steps_sd": sd,
        "plan_ms_median": median([episode["plan_ms"] for episode in episodes]),
        **_sampling(episodes),
        **_measures(episodes),
    }


def _measures(episodes: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Mean and standard deviation of every number that was measured, over those that have it."""
    found: dict[str, list[float]] = {}
    for episode in episodes:
        for name, value in episode.get("measures", {}).items():
            if isinstance(value, (int, float)):
                found.setdefault(name, []).append(value)
    if not found:
        return {}
    spread = {name: mean_and_sd(values) for name, values in found.items()}
    return {"measures": {name: {"mean": m, "sd": sd} for name, (m, sd) in spread.items()}}


def _sampling(episodes: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Which sources the best samples came from, where a policy is one of several."""
    found = [episode for episode in episodes if episode.get("winners")]
    if not found:
        return {}
    mean, sd = mean_and_sd([episode["cem_ratio"] for episode in found])
    names = found[0]["winners"]
    shares = {name: statistics.fmean(e["winners"][name] for e in found) for name in names}
    return {"cem_ratio_mean": mean, "cem_ratio_sd": sd, "winners": shares}


def _as_read(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values as they come back from JSON, so that they can be compared."""
    return json.loads(json.dumps(dict(values)))


def _compare(path: Path, what: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
    for name in {**old, **new}:
        if old.get(name) != new.get(name):
            raise UsageError(
                f"{path} holds results with {what}{name} {old.get(name)!r}, now it is "
                f"{new.get(name)!r}: give another file with --out, or --fresh to start again"
            )
