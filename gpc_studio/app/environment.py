"""What has to be said to NumPy and JAX before they are imported: thread pools and caches."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import MutableMapping
from pathlib import Path

_POOLS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
)
_EIGEN_FLAG = "--xla_cpu_multi_thread_eigen"


def prepare(environ: MutableMapping[str, str] = os.environ) -> None:
    """Bounds thread pools and switches the compilation cache on; what the user set stays.

    Only the environment is written, so this costs nothing; it must run before NumPy and JAX are
    imported.
    """
    bound_thread_pools(environ)
    use_compilation_cache(environ)


def bound_thread_pools(environ: MutableMapping[str, str] = os.environ) -> None:
    """Gives BLAS and XLA one thread each.

    The rollouts use all cores. A BLAS or XLA pool beside them makes threads wait for each other
    on a busy machine, which turns a planning step of 1 ms into one of 300 ms, and wins nothing on
    arrays as small as ours. It also keeps results independent of the number of cores.
    """
    for name in _POOLS:
        environ.setdefault(name, "1")
    flags = environ.get("XLA_FLAGS", "")
    if _EIGEN_FLAG not in flags:
        environ["XLA_FLAGS"] = f"{flags} {_EIGEN_FLAG}=false".strip()


def use_compilation_cache(environ: MutableMapping[str, str] = os.environ) -> None:
    """Keeps compiled programs on disk, so that only the first start waits for the compiler."""
    environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(cache_dir(environ) / "jax"))
    # By default JAX keeps only what took a second to compile; our programs are many and small.
    environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
    environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")
    ignore_cache_races()
    # Loading a kept program prints a note about the processor's features at error level.
    environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def ignore_cache_races() -> None:
    """Keeps JAX from warning when another process is just writing the entry that it reads.

    It compiles the program itself then, which is all that there is to do.
    """
    warnings.filterwarnings("ignore", "Error reading persistent compilation cache entry")


def cache_dir(environ: MutableMapping[str, str] = os.environ, platform: str = sys.platform) -> Path:
    """Folder for what can be made again, by the platform's convention."""
    if environ.get("XDG_CACHE_HOME"):
        base = Path(environ["XDG_CACHE_HOME"])
    elif platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path.home() / ".cache"
    return base / "gpc-studio"


def has_display(
    environ: MutableMapping[str, str] = os.environ, platform: str = sys.platform
) -> bool:
    """Whether a graphical browser can be opened from here."""
    if environ.get("SSH_CONNECTION") and not environ.get("DISPLAY"):
        return False
    if platform in ("darwin", "win32"):
        return True
    return any(environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"))
