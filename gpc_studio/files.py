"""Files that users keep: where they lie, and how they are written in one piece."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Mapping
from pathlib import Path


def write_atomically(path: Path, content: bytes) -> None:
    """Writes a file that is the old one or the new one at any time, never a part of either.

    The content is on the disk before it gets its name, so that this holds for a loss of power too.

    Raises:
        OSError: It cannot be written; an old file stays as it was.
    """
    draft = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}")
    try:
        with draft.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    # The name is in the folder, which not every system lets a program write out.
    with contextlib.suppress(OSError):
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def data_dir(environ: Mapping[str, str] = os.environ, platform: str = sys.platform) -> Path:
    """Folder for what a user makes and wants to keep, by the platform's convention."""
    chosen = Path(environ.get("XDG_DATA_HOME", ""))
    if chosen.is_absolute():
        base = chosen
    elif platform == "darwin":
        base = Path.home() / "Library" / "Application Support"
    else:
        base = Path.home() / ".local" / "share"
    return base / "gpc-studio"
