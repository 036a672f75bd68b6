"""Messages to the person in front of the screen."""

from __future__ import annotations

import logging
import threading
import traceback
from collections import deque
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from gpc_studio.app.session.snapshot import Message
from gpc_studio.controllers.plan import Plan
from gpc_studio.scenes.task import Task

LEVELS = ("info", "warning", "error")

_log = logging.getLogger("gpc_studio.session")


class MessageBoard:
    """The newest messages of a session, numbered; thread-safe."""

    def __init__(self, keep: int = 30) -> None:
        self._lock = threading.Lock()
        self._messages: deque[Message] = deque(maxlen=keep)
        self._count = 0

    @property
    def newest(self) -> tuple[Message, ...]:
        """Messages, oldest first."""
        with self._lock:
            return tuple(self._messages)

    def post(self, level: str, title: str, text: str) -> Message:
        """Adds a message.

        Raises:
            ValueError: The level is none of `LEVELS`.
        """
        if level not in LEVELS:
            raise ValueError(f"level: expected one of {', '.join(LEVELS)}, got {level!r}")
        with self._lock:
            self._count += 1
            message = Message(self._count, level, str(title), str(text))
            self._messages.append(message)
        _log.debug("%s: %s: %s", level, title, text)
        return message


def about_costs(plan: Plan, terms: Sequence[str]) -> str:
    """What to say of a plan whose samples all cost infinity; nothing of any other.

    Args:
        plan: Plan of one episode.
        terms: Names of the cost terms.
    """
    if not plan.rolled_out or np.isfinite(plan.cost).any():
        return ""
    finite = np.isfinite(plan.cost_terms).any(axis=0)
    names = [name for name, known in zip(terms, finite, strict=True) if not known]
    if names:
        why = f"cost term {', '.join(names)} is not finite in any of them"
        advice = "Correct the term, or go back to a state where it is defined."
    else:
        why = "the simulation diverges in all of them"
        advice = "A shorter horizon, less noise or a smaller time step of the model may help."
    return f"None of the {len(plan.cost)} samples has a finite cost: {why}. {advice}"


def explain(error: BaseException, task: Task | None = None) -> str:
    """One line about an exception: its type, its text and the line that raised it.

    Args:
        error: The exception.
        task: A task whose file a person is likely to be working on: the innermost line in its
            folder is named rather than the innermost line of all.
    """
    _log.debug("caught", exc_info=error)
    text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    frames = traceback.extract_tb(error.__traceback__)
    path = None if task is None else task.source_path
    if path is not None:
        inside = [f for f in frames if Path(f.filename).is_relative_to(path.parent)]
        frames = inside or frames
    if not frames:
        return text
    frame = frames[-1]
    return f"{text} ({Path(frame.filename).name}, line {frame.lineno})"
