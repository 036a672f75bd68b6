"""Datasets on disk: what a controller planned, state by state, in shards of whole episodes.

A dataset is a folder with a manifest, `dataset.json`, which says how its episodes were made, and
shards of safetensors. Every file is written in one piece, so a folder is sound at any moment, and
an interrupted collection goes on with the episodes that are missing. Episode i is always in shard
`i // SHARD_EPISODES`, in the order of the indices, so the bits do not depend on interruptions.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from gpc_studio.files import write_atomically

FORMAT = 1
SHARD_EPISODES = 64

_MANIFEST = "dataset.json"
_SHARDS = "shard_*.safetensors"


class DatasetError(ValueError):
    """A dataset cannot be used; the message names the file, and what to do."""


class Sequences(NamedTuple):
    """Planning steps, one a row. Controls are in the task's policy frame, actuator units.

    Attributes:
        knots: Knots that were executed (n, K, nu).
        previous: The plan before, shifted to the time of this one (n, K, nu).
        observation: Observation planned from (n, nobs).
        last_observation: Observation at the plan before; the same at an episode's first (n, nobs).
        episode: Index of the episode (n,).
    """

    knots: np.ndarray
    previous: np.ndarray
    observation: np.ndarray
    last_observation: np.ndarray
    episode: np.ndarray


@dataclass(frozen=True)
class EpisodeRecord:
    """How one episode went; only those with success have sequences.

    Attributes:
        index: Number of the episode.
        seed: Its seed.
        success: Whether it reached the goal.
        steps: Simulation steps until it did, or its length.
        plans: Number of its planning steps.
    """

    index: int
    seed: int
    success: bool
    steps: int
    plans: int


class Dataset:
    """A folder of sequences.

    Attributes:
        folder: The folder.
        settings: How the episodes were made, as in the manifest.
    """

    def __init__(self, folder: Path) -> None:
        """Opens a dataset that exists.

        Raises:
            DatasetError: There is none, or its manifest cannot be read.
        """
        self.folder = folder
        path = folder / _MANIFEST
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            form, self.settings = content["format"], dict(content["settings"])
        except FileNotFoundError:
            raise DatasetError(
                f"{folder}: no dataset here (expected {_MANIFEST}); `gpc-studio collect` makes one"
            ) from None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DatasetError(f"{path}: not the manifest of a dataset ({error!r:.80})") from None
        if form != FORMAT:
            raise DatasetError(f"{path}: expected format {FORMAT}, got {form!r}: collect it again")

    @classmethod
    def begin(cls, folder: Path, settings: Mapping[str, Any]) -> Dataset:
        """Makes a dataset, or opens the one in the folder to go on with it.

        Raises:
            DatasetError: The folder holds a dataset that was made in another way; the message
                names the first setting that differs.
        """
        wanted = json.loads(json.dumps(settings))
        if not (folder / _MANIFEST).exists():
            folder.mkdir(parents=True, exist_ok=True)
            text = json.dumps({"format": FORMAT, "settings": wanted}, indent=1)
            write_atomically(folder / _MANIFEST, text.encode())
        found = cls(folder)
        differs = difference(found.settings, wanted)
        if differs:
            raise DatasetError(
                f"{folder}: collected with other settings ({differs}); "
                "give another folder with --data, or --fresh to begin again"
            )
        return found

    @classmethod
    def fits(cls, folder: Path, settings: Mapping[str, Any]) -> bool:
        """Whether a folder holds a dataset that was made in this way."""
        try:
            return not difference(cls(folder).settings, json.loads(json.dumps(settings)))
        except DatasetError:
            return False

    def episodes(self, most: int | None = None) -> list[EpisodeRecord]:
        """Records of the episodes that are there, by index: all, or those below `most`."""
        records = [record for path in self._shards() for record in _read_records(path)]
        return [record for record in records if most is None or record.index < most]

    def sequences(self, most: int | None = None) -> Sequences:
        """Sequences by episode and time: of all episodes, or of those below `most`.

        Raises:
            DatasetError: There is none, or a shard is damaged.
        """
        parts = [_read(path)[0] for path in self._shards()]
        if most is not None:
            parts = [_select(part, part.episode < most) for part in parts]
        parts = [part for part in parts if len(part.episode)]
        if not parts:
            raise DatasetError(
                f"{self.folder}: no successful episode yet: collect more, or with other options"
            )
        return Sequences(*(np.concatenate(values) for values in zip(*parts, strict=True)))

    def add(self, finished: Mapping[int, tuple[EpisodeRecord, Sequences | None]]) -> None:
        """Writes episodes of one shard, merged with those that it already holds.

        Args:
            finished: By index: the record, and the sequences if there are any to keep.
        """
        (shard,) = {index // SHARD_EPISODES for index in finished}
        path = self.folder / f"shard_{shard:05d}.safetensors"
        rows: dict[int, Sequences] = {}
        records = {}
        if path.exists():
            old, old_records = _read(path)
            records = {record.index: record for record in old_records}
            rows = {i: _select(old, old.episode == i) for i in set(old.episode.tolist())}
        for index, (record, sequences) in finished.items():
            records[index] = record
            if sequences is not None:
                rows[index] = sequences
        ordered = [rows[index] for index in sorted(rows)]
        _write(path, ordered, [records[index] for index in sorted(records)])

    @staticmethod
    def clear(folder: Path) -> None:
        """Deletes the files of a dataset, sound or not; others in the folder stay.

        Without a manifest there is no dataset, and nothing is deleted.
        """
        if (folder / _MANIFEST).exists():
            for path in folder.glob(_SHARDS):
                path.unlink()
            (folder / _MANIFEST).unlink()

    def size(self) -> int:
        """Bytes on disk."""
        return sum(path.stat().st_size for path in self._shards())

    def _shards(self) -> list[Path]:
        return sorted(self.folder.glob(_SHARDS))


def _write(path: Path, rows: Sequence[Sequences], records: Iterable[EpisodeRecord]) -> None:
    from safetensors.numpy import save

    arrays = {}
    if rows:
        joined = Sequences(*(np.concatenate(values) for values in zip(*rows, strict=True)))
        arrays = {name: np.ascontiguousarray(value) for name, value in joined._asdict().items()}
    # One entry only: the library writes several in any order, and equal data should be equal files.
    metadata = {"episodes": json.dumps([asdict(record) for record in records])}
    write_atomically(path, save(arrays, metadata))


def _read(path: Path) -> tuple[Sequences, list[EpisodeRecord]]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "numpy") as file:
            records = _records(file.metadata())
            names = set(file.keys())
            if not names:
                return Sequences(*(np.zeros((0,)) for _ in Sequences._fields)), records
            if names != set(Sequences._fields):
                raise ValueError(f"expected {', '.join(Sequences._fields)}")
            return Sequences(*(file.get_tensor(name) for name in Sequences._fields)), records
    except (SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
        raise DatasetError(
            f"{path}: damaged ({error!r:.80}); delete it and collect again: only its episodes "
            "will be run"
        ) from None


def _read_records(path: Path) -> list[EpisodeRecord]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "numpy") as file:
            return _records(file.metadata())
    except (SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
        raise DatasetError(
            f"{path}: damaged ({error!r:.80}); delete it and collect again: only its episodes "
            "will be run"
        ) from None


def _records(metadata: Mapping[str, str] | None) -> list[EpisodeRecord]:
    return [EpisodeRecord(**entry) for entry in json.loads((metadata or {})["episodes"])]


def _select(sequences: Sequences, rows: np.ndarray) -> Sequences:
    return Sequences(*(value[rows] for value in sequences))


def difference(old: Any, new: Any, name: str = "") -> str:
    """The first setting that differs, in words, or ""."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in {**old, **new}:
            inner = f"{name}.{key}" if name else str(key)
            found = difference(old.get(key), new.get(key), inner)
            if found:
                return found
        return ""
    return "" if old == new else f"{name}: {old!r:.60}, now {new!r:.60}"
