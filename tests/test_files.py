import os
from pathlib import Path

import pytest

from gpc_studio.files import data_dir, write_atomically


def test_a_file_is_replaced_and_nothing_else_is_left(tmp_path):
    path = tmp_path / "kept.bin"
    write_atomically(path, b"old")
    write_atomically(path, b"new")
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "kept.bin"
    write_atomically(path, b"old")

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("environ", "platform", "parts"),
    [
        ({"XDG_DATA_HOME": "/some/where"}, "linux", ("some", "where", "gpc-studio")),
        ({"XDG_DATA_HOME": "not/absolute"}, "linux", (".local", "share", "gpc-studio")),
        ({}, "linux", (".local", "share", "gpc-studio")),
        ({}, "darwin", ("Library", "Application Support", "gpc-studio")),
    ],
)
def test_data_dir_follows_the_platform(environ, platform, parts):
    found = data_dir(environ, platform)
    assert found.parts[-len(parts) :] == parts
    assert found.is_absolute()
    assert Path.cwd() not in found.parents
