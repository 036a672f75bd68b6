"""Where the episodes of an evaluation start: seeds, and files of start states."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gpc_studio.app.errors import UsageError
from gpc_studio.options import did_you_mean
from gpc_studio.scenes.state import InitialState

if TYPE_CHECKING:
    import mujoco


@dataclass(frozen=True)
class EpisodeStart:
    """One episode to run.

    Attributes:
        index: Number of the episode in the evaluation.
        seed: Seed of its start state and of its planner.
        state: Start state, or None to draw it from the task.
        steps: Steps to run whether there is success or not; None: until success, at most as long
            as the task says.
    """

    index: int
    seed: int
    state: InitialState | None = None
    steps: int | None = None


def episode_seed(seed: int, index: int) -> int:
    """Seed of one episode, 0 to 2^31 - 1: a hash of the evaluation's seed and the index.

    `gpc-studio run --seed` with it starts from the same state.
    """
    return int(np.random.SeedSequence([seed, index]).generate_state(1)[0] >> 1)


def episode_starts(
    seed: int, episodes: int, states: Sequence[InitialState] | None = None
) -> list[EpisodeStart]:
    """Starts of all episodes; given states are used in turn, again from the first if need be."""
    return [
        EpisodeStart(i, episode_seed(seed, i), states[i % len(states)] if states else None)
        for i in range(episodes)
    ]


def read_initial_states(path: Path, model: mujoco.MjModel) -> list[InitialState]:
    """Reads a list of `{"qpos", "qvel", "mocap_pos", "mocap_quat"}`, the last two optional.

    Raises:
        UsageError: The file is not such a list, or an entry does not fit the model; the message
            names the entry and the size expected.
    """
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror or error}") from None
    except ValueError as error:
        raise UsageError(f"{path}: not JSON: {error}") from None
    if not isinstance(entries, list) or not entries:
        raise UsageError(f'{path}: expected a list of {{"qpos": [...], "qvel": [...], ...}}')
    return [_initial_state(f"{path}: entry {i}", entry, model) for i, entry in enumerate(entries)]


def digest(states: Sequence[InitialState] | None) -> str | None:
    """Fingerprint of start states, by which results of other states are told apart."""
    if states is None:
        return None
    content = hashlib.sha256()
    for state in states:
        for part in state:
            content.update(b"-" if part is None else np.asarray(part, np.float64).tobytes())
    return content.hexdigest()[:16]


def _initial_state(place: str, entry: Any, model: mujoco.MjModel) -> InitialState:
    shapes: Mapping[str, tuple[int, ...]] = {
        "qpos": (model.nq,),
        "qvel": (model.nv,),
        "mocap_pos": (model.nmocap, 3),
        "mocap_quat": (model.nmocap, 4),
    }
    if not isinstance(entry, dict):
        raise UsageError(f"{place}: expected an object with {', '.join(shapes)}")
    for name in entry:
        if name not in shapes:
            raise UsageError(f"{place}: unknown key {name!r}{did_you_mean(str(name), shapes)}")
    values = {}
    for name, shape in shapes.items():
        if entry.get(name) is None:
            if name in ("qpos", "qvel"):
                raise UsageError(f"{place}: {name} is missing, expected {_size(shape)}")
            continue
        values[name] = _array(f"{place}: {name}", entry[name], shape)
    quaternions = values.get("mocap_quat")
    if quaternions is not None:
        lengths = np.linalg.norm(quaternions, axis=-1, keepdims=True)
        if (lengths < 1e-9).any():
            raise UsageError(f"{place}: mocap_quat: a quaternion is zero")
        values["mocap_quat"] = quaternions / lengths
    return InitialState(**values)


def _array(place: str, value: Any, shape: tuple[int, ...]) -> np.ndarray:
    try:
        array = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        raise UsageError(f"{place}: expected {_size(shape)}, got {value!r:.60}") from None
    # One mocap body may be written without the outer list.
    if array.shape != shape and not (shape[0] == 1 and array.shape == shape[1:]):
        raise UsageError(f"{place}: expected {_size(shape)}, got shape {array.shape}")
    if not np.isfinite(array).all():
        raise UsageError(f"{place}: expected finite numbers, got {value!r:.60}")
    return array.reshape(shape)


def _size(shape: tuple[int, ...]) -> str:
    if len(shape) == 1:
        return f"{shape[0]} numbers"
    return f"{shape[0]} lists of {shape[1]} numbers"
