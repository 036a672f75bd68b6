"""Mistakes that a person made, told without a traceback."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UsageError(Exception):
    """What was asked for cannot be done; the message says what was expected and how to go on."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """` (did you mean cem?)` when a known name is near, else nothing."""
    near = difflib.get_close_matches(name, list(known), n=1)
    return f" (did you mean {near[0]}?)" if near else ""
