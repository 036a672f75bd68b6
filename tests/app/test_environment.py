import subprocess
import sys
from pathlib import Path

import pytest

from gpc_studio.app import environment


def test_pools_are_bounded_and_the_users_word_stays():
    environ = {"OMP_NUM_THREADS": "4", "XLA_FLAGS": "--xla_dump_to=/tmp/x"}
    environment.prepare(environ)
    assert environ["OMP_NUM_THREADS"] == "4"
    assert environ["OPENBLAS_NUM_THREADS"] == "1"
    assert environ["XLA_FLAGS"] == "--xla_dump_to=/tmp/x --xla_cpu_multi_thread_eigen=false"
    again = dict(environ)
    environment.prepare(again)
    assert again == environ


def test_the_users_eigen_flag_stays():
    environ = {"XLA_FLAGS": "--xla_cpu_multi_thread_eigen=true"}
    environment.bound_thread_pools(environ)
    assert environ["XLA_FLAGS"] == "--xla_cpu_multi_thread_eigen=true"


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


def test_jax_compiles_into_the_cache_quietly(tmp_path):
    program = (
        "from gpc_studio.app import environment; environment.prepare();"
        "import jax, jax.numpy as jnp;"
        "print(jax.jit(lambda x: jnp.sin(x).sum())(jnp.arange(1000.0)))"
    )
    environ = {"XDG_CACHE_HOME": str(tmp_path), "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    outputs = []
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-c", program], env=environ, capture_output=True, text=True,
            cwd=Path(__file__).parents[2], check=True,
        )  # fmt: skip
        assert done.stderr == ""
        outputs.append(done.stdout)
    assert outputs[0] == outputs[1]
    assert list((tmp_path / "gpc-studio" / "jax").iterdir())
