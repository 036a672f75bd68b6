"""What has to be said to NumPy and JAX before they are imported: thread pools and caches."""

from __future__ import annotations

import contextlib
import os
import sys
import time
import warnings
from collections.abc import MutableMapping
from pathlib import Path

_POOLS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "NPROC",  # size of XLA's own pool on the CPU
)
_CLOCK_SECONDS = 2.0  # resolution of the times of files, generously
_XLA_FLAGS = (
    "--xla_cpu_multi_thread_eigen",
    # Hands the parts of a program to other threads; ours are of microseconds, and it made the
    # sampling of a plan three times slower.
    "--xla_cpu_enable_concurrency_optimized_scheduler",
)


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
    for flag in _XLA_FLAGS:
        flags = environ.get("XLA_FLAGS", "")
        if flag not in flags:
            environ["XLA_FLAGS"] = f"{flags} {flag}=false".strip()


def run_programs_inline() -> None:
    """Has JAX run its programs on the calling thread; must come before JAX's first computation.

    Handing a program of 0.1 ms to another thread takes longer than running it. JAX reads this
    setting from no environment variable.
    """
    import jax

    jax.config.update("jax_cpu_enable_async_dispatch", False)


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


def repair_compilation_cache(environ: MutableMapping[str, str] = os.environ) -> None:
    """Deletes kept programs that were cut off because the writing process was ended.

    JAX would compile such a program anew at every start, since it neither reads nor replaces the
    entry. Entries from before the last look are not looked at again, so this takes milliseconds. A
    folder of the user's own is left alone.
    """
    folder = cache_dir(environ) / "jax"
    if environ.get("JAX_COMPILATION_CACHE_DIR") != str(folder):
        return
    stamp, now = folder.with_name("jax-checked"), time.time()
    # Another process may be at work in the folder, or it may be read-only.
    with contextlib.suppress(OSError):
        since = stamp.stat().st_mtime - _CLOCK_SECONDS if stamp.exists() else 0.0
        for entry in folder.glob("*-cache"):
            if entry.stat().st_mtime >= since and not _is_whole(entry):
                entry.unlink(missing_ok=True)
        stamp.touch()
        os.utime(stamp, (now, now))


def _is_whole(entry: Path) -> bool:
    import zstandard  # what JAX packs with; the page's server brings it along

    try:
        zstandard.ZstdDecompressor().decompress(entry.read_bytes())
    except zstandard.ZstdError:
        return False
    return True


def give_back_memory() -> None:
    """Returns memory that is free to the system, where the C library has a call for that (glibc).

    Compiled code leaves many small holes: without this, a session that has compiled a hundred
    planners holds tens of megabytes that nothing uses.
    """
    import ctypes

    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


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
