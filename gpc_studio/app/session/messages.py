"""Messages to the person in front of the screen."""

from __future__ import annotations

import logging
import threading
import traceback
from collections import deque
from pathlib import Path

from gpc_studio.app.session.snapshot import Message

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


def explain(error: BaseException, near: Path | None = None) -> str:
    """One line about an exception: its type, its text and the line that raised it.

    Args:
        error: The exception.
        near: A folder whose files a person is likely to be working on; the innermost line inside
            it is named rather than the innermost line of all.
    """
    _log.debug("caught", exc_info=error)
    text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    frames = traceback.extract_tb(error.__traceback__)
    if near is not None:
        inside = [frame for frame in frames if Path(frame.filename).is_relative_to(near)]
        frames = inside or frames
    if not frames:
        return text
    frame = frames[-1]
    return f"{text} ({Path(frame.filename).name}, line {frame.lineno})"
