"""Where a goal may go: its limits and its degrees of freedom."""

from __future__ import annotations

import numpy as np

from gpc_studio.scenes.task import Goal

AXES = ("x", "y", "z")


def allowed_position(goal: Goal, position: np.ndarray, current: np.ndarray) -> np.ndarray:
    """`position` inside the limits of `goal`; axes that do not move keep their `current` value.

    Args:
        goal: What may move.
        position: Wanted position, world frame, m (3,).
        current: Position now (3,).
    """
    free = np.array([axis in goal.translate for axis in AXES])
    return np.where(free, np.clip(position, goal.low, goal.high), current)


def allowed_rotation(goal: Goal, quaternion: np.ndarray, current: np.ndarray) -> np.ndarray:
    """The rotation nearest to `quaternion` that turns only about the axes of `goal`.

    The turn from `current` is split into a swing and a twist about a world axis (swing-twist
    decomposition): with one free axis its twist is kept, with two the twist about the third is
    taken out.

    Args:
        goal: What may turn.
        quaternion: Wanted orientation, unit, wxyz (4,).
        current: Orientation now, unit, wxyz (4,).
    """
    free = [axis for axis in AXES if axis in goal.rotate]
    if not free:
        return current
    if len(free) == 3:
        return quaternion
    turn = multiply(quaternion, conjugate(current))
    if len(free) == 1:
        turn = _twist(turn, AXES.index(free[0]))
    else:
        locked = next(i for i, axis in enumerate(AXES) if axis not in free)
        turn = multiply(turn, conjugate(_twist(turn, locked)))
    turned = multiply(turn, current)
    return turned / np.linalg.norm(turned)


def multiply(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Hamilton product of quaternions wxyz: rotates by `b`, then by `a`."""
    return np.concatenate(
        [[a[0] * b[0] - a[1:] @ b[1:]], a[0] * b[1:] + b[0] * a[1:] + np.cross(a[1:], b[1:])]
    )


def conjugate(quaternion: np.ndarray) -> np.ndarray:
    """Inverse of a unit quaternion wxyz."""
    return quaternion * np.array([1.0, -1.0, -1.0, -1.0])


def _twist(quaternion: np.ndarray, axis: int) -> np.ndarray:
    """Part of a rotation that turns about world axis number `axis`; none for a half-turn swing."""
    twist = np.zeros(4)
    twist[0], twist[1 + axis] = quaternion[0], quaternion[1 + axis]
    norm = np.linalg.norm(twist)
    return twist / norm if norm > 1e-9 else np.array([1.0, 0.0, 0.0, 0.0])
