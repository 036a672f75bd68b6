"""Keeps MuJoCo from writing into the folder that the user happens to be in."""

from __future__ import annotations

import logging

_LOG = logging.getLogger("gpc_studio.mujoco")


def keep_mujoco_quiet() -> None:
    """Sends MuJoCo's warnings to Python's logging, at level debug.

    By default MuJoCo prints each of them and appends it to `MUJOCO_LOG.TXT` in the working
    directory. Sampling provokes them, since some candidates diverge, and what matters of them is
    told otherwise: a diverged candidate costs infinity, a diverged plant pauses the session. The
    handler is one for the whole process, the threads of a `mujoco.batch.Batch` included; one that
    somebody else has set stays.
    """
    import mujoco

    if mujoco.get_mju_user_warning() is None:
        mujoco.set_mju_user_warning(_LOG.debug)
