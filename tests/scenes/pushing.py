"""Plans that push: for tests that compare dynamics where it matters."""

from __future__ import annotations

import numpy as np

from gpc_studio.controllers import splines
from gpc_studio.scenes.push_t.task import PushT


def pushing_plans(task: PushT, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Start positions (count, 5) and controls over 3 s (count, 300, 2), float32.

    Cubic splines through four knots about the block, as CEM samples them. In every other plan the
    pusher starts where the task lets it, in the others beside the block.
    """
    rng = np.random.default_rng(seed)
    starts = np.stack([task.reset(rng).qpos for _ in range(count)])
    near = starts[::2]
    angle = rng.uniform(-np.pi, np.pi, len(near))
    near[:, :2] = near[:, 2:4] + 0.2 * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    knots = starts[:, None, 2:4] + rng.normal(0.0, 0.12, (count, 4, 2))
    controls = splines.basis("cubic", 4, 3.0, task.dt) @ knots
    return starts, np.clip(controls, *task.control_range).astype(np.float32)
