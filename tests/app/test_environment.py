import os
import platform
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from gpc_studio.app import environment


def test_pools_are_bounded_and_the_users_word_stays():
    environ = {"OMP_NUM_THREADS": "4", "XLA_FLAGS": "--xla_dump_to=/tmp/x"}
    environment.prepare(environ)
    assert environ["OMP_NUM_THREADS"] == "4"
    assert environ["OPENBLAS_NUM_THREADS"] == environ["NPROC"] == "1"
    assert environ["XLA_FLAGS"] == (
        "--xla_dump_to=/tmp/x --xla_cpu_multi_thread_eigen=false "
        "--xla_cpu_enable_concurrency_optimized_scheduler=false"
    )
    again = dict(environ)
    environment.prepare(again)
    assert again == environ


def test_the_users_eigen_flag_stays():
    environ = {"XLA_FLAGS": "--xla_cpu_multi_thread_eigen=true"}
    environment.bound_thread_pools(environ)
    assert "--xla_cpu_multi_thread_eigen=true" in environ["XLA_FLAGS"].split()
    assert "--xla_cpu_multi_thread_eigen=false" not in environ["XLA_FLAGS"]


@pytest.mark.parametrize(
    ("environ", "platform", "parts"),
    [
        ({"XDG_CACHE_HOME": "/some/where"}, "linux", ("some", "where", "gpc-studio")),
        ({}, "linux", (".cache", "gpc-studio")),
        ({}, "darwin", ("Library", "Caches", "gpc-studio")),
    ],
)
def test_cache_dir_follows_the_platform(environ, platform, parts):
    found = environment.cache_dir(environ, platform)
    assert found.parts[-len(parts) :] == parts
    assert found.is_absolute()


@pytest.mark.parametrize(
    ("environ", "platform", "expected"),
    [
        ({}, "linux", False),
        ({"DISPLAY": ":0"}, "linux", True),
        ({"WAYLAND_DISPLAY": "wayland-0"}, "linux", True),
        ({}, "darwin", True),
        ({"SSH_CONNECTION": "a b c d"}, "darwin", False),
    ],
)
def test_has_display(environ, platform, expected):
    assert environment.has_display(environ, platform) is expected


PROGRAM = (
    "from gpc_studio.app import environment; environment.prepare();"
    "environment.repair_compilation_cache();"
    "import jax, jax.numpy as jnp;"
    "print(jax.jit(lambda x: jnp.sin(x).sum())(jnp.arange(1000.0)))"
)


@pytest.fixture
def compiled(tmp_path):
    """Runs a small program that compiles; returns what it printed and the folder of the cache."""
    environ = {"XDG_CACHE_HOME": str(tmp_path), "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}

    def run():
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM], env=environ, capture_output=True, text=True,
            cwd=Path(__file__).parents[2], check=True,
        )  # fmt: skip
        assert done.stderr == ""
        return done.stdout, tmp_path / "gpc-studio" / "jax"

    return run


def test_jax_compiles_into_the_cache_quietly(compiled):
    first, folder = compiled()
    assert list(folder.iterdir())
    assert compiled()[0] == first


def test_a_kept_program_that_was_cut_off_is_made_anew(compiled):
    first, folder = compiled()
    sizes = {path: path.stat().st_size for path in folder.glob("*-cache")}
    assert sizes
    for path, size in sizes.items():
        os.truncate(path, size // 2)
    assert compiled()[0] == first
    assert set(folder.glob("*-cache")) == set(sizes)
    assert all(environment._is_whole(path) for path in sizes)


def test_only_new_entries_of_our_own_folder_are_looked_at(tmp_path):
    environ = {"XDG_CACHE_HOME": str(tmp_path)}
    environment.use_compilation_cache(environ)
    folder = Path(environ["JAX_COMPILATION_CACHE_DIR"])
    folder.mkdir(parents=True)
    broken = folder / "a-cache"
    broken.write_bytes(b"half")
    environment.repair_compilation_cache(environ | {"JAX_COMPILATION_CACHE_DIR": str(tmp_path)})
    assert broken.exists()
    environment.repair_compilation_cache(environ)
    assert not broken.exists()
    broken.write_bytes(b"half")
    os.utime(broken, (0, 0))  # from before the last look
    environment.repair_compilation_cache(environ)
    assert broken.exists()


def test_memory_that_is_free_goes_back():
    process = psutil.Process()
    before = process.memory_info().rss
    kept = [bytearray(4000) for _ in range(30_000)]  # small, so that the heap holds them
    last = bytearray(4000)  # keeps the end of the heap from shrinking by itself
    full = process.memory_info().rss
    del kept
    environment.give_back_memory()
    assert last is not None and full > before
    if platform.libc_ver()[0] == "glibc":
        assert process.memory_info().rss < full - 0.5 * (full - before)
