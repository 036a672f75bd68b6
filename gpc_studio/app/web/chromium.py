"""A headless Chromium that draws the page without a graphics card, for tests and pictures."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

INSTALL_COMMAND = "apt-get install -y --no-install-recommends chromium libegl1 libgl1-mesa-dri"
"""What installs the browser and its software renderer on Debian and Ubuntu."""

_NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
_LIBRARIES = tuple(
    Path("/usr/lib", folder, "libEGL_mesa.so.0")
    for folder in ("", "x86_64-linux-gnu", "aarch64-linux-gnu")
)

_QUIET = (
    "--no-sandbox", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
)  # fmt: skip
# Mesa's software renderer without GPU compositing was the fastest of all that draw WebGL headless.
_MESA = ("--use-gl=angle", "--use-angle=gl-egl", "--ignore-gpu-blocklist",
         "--disable-gpu-compositing")  # fmt: skip

CHROMIUM_FLAGS = (*_QUIET, *(_MESA if any(file.exists() for file in _LIBRARIES) else ()))
"""Command-line flags; without Mesa, Chromium chooses its own renderer."""


def find_chromium() -> str | None:
    """Path of a Chromium: `GPC_STUDIO_CHROMIUM`, or the first on the search path; None if none."""
    named = os.environ.get("GPC_STUDIO_CHROMIUM")
    found = [named] if named else [shutil.which(name) for name in _NAMES]
    return next((path for path in found if path), None)
