"""How much training a person asks for, in a word."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from gpc_studio.scenes.task import Task

Size = Callable[[Task, str], Sequence[str]]
"""Flags of `gpc-studio train` for a task and a method."""


def full(task: Task, method: str) -> Sequence[str]:
    """The task's own training recipe."""
    del task, method
    return ()


def quick(task: Task, method: str) -> Sequence[str]:
    """Less than half of it, for a first look."""
    from gpc_studio.models.training.options import (
        CollectOptions,
        GpcOptions,
        OfflineOptions,
        training_defaults,
    )

    if method == "gpc":
        rounds = training_defaults(task, "gpc", GpcOptions()).iterations
        return ("--iterations", str(max(2, round(0.4 * rounds))))
    episodes = training_defaults(task, "collect", CollectOptions()).episodes
    steps = training_defaults(task, "offline", OfflineOptions()).steps
    return (
        "--episodes", str(max(16, round(0.3 * episodes))),
        "--steps", str(max(100, round(0.4 * steps))),
    )  # fmt: skip


SIZES: Mapping[str, Size] = MappingProxyType({"quick": quick, "full": full})
