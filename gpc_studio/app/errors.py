"""Mistakes that a person made, told without a traceback."""

from __future__ import annotations


class UsageError(Exception):
    """What was asked for cannot be done; the message says what was expected and how to go on."""
