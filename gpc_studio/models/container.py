"""The file around a checkpoint: safetensors with a checksum, read without trusting anything.

A safetensors file is the length of its header (8 bytes, little-endian), a JSON header with the
place of every tensor and texts under `__metadata__`, and the tensors. Ours has one such text, a
JSON object with the format's version, a checksum, and the content that :mod:`checkpoint` explains.
Nothing in it is ever executed.
"""

from __future__ import annotations

import hashlib
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np

from gpc_studio.files import write_atomically

VERSION = 1
"""Version of the format that this program writes and reads."""

MOST_BYTES = 64 * 2**20
"""Largest file; the largest networks that people train on a laptop have a tenth of it."""

MOST_HEADER_BYTES = 2**20
"""Largest header."""

_KEY = "gpc_studio"
_LENGTH = 8


class CheckpointError(ValueError):
    """A checkpoint that cannot be used: one line with the file, what is wrong, and what to do."""

    def __init__(self, path: Path | str, problem: str) -> None:
        super().__init__(f"{in_one_line(str(path), 300)}: {in_one_line(problem, 400)}")


class Contents(NamedTuple):
    """What a file holds.

    Attributes:
        text: The content, JSON.
        tensors: Arrays by name.
    """

    text: bytes
    tensors: dict[str, np.ndarray]


class _Envelope(msgspec.Struct, forbid_unknown_fields=True):
    version: int
    sha256: str
    content: msgspec.Raw


class _Version(msgspec.Struct):
    version: int


def in_one_line(text: str, most: int = 80) -> str:
    """Text from a file as it may be shown: printable, on one line, not too long."""
    shown = "".join(letter if letter.isprintable() else " " for letter in text)
    return shown if len(shown) <= most else shown[: most - 3] + "..."


def write(path: Path, text: bytes, tensors: Mapping[str, np.ndarray]) -> None:
    """Writes a file in one piece; the same contents give the same bytes.

    Raises:
        CheckpointError: It would be too large, or cannot be written.
    """
    from safetensors.numpy import save

    arrays = {name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}
    envelope = _Envelope(VERSION, _checksum(text, arrays), msgspec.Raw(text))
    content = save(arrays, {_KEY: msgspec.json.encode(envelope).decode()})
    _check_size(path, len(content))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, content)
    except OSError as error:
        raise CheckpointError(
            path, f"cannot be written ({error.strerror or error}): save it elsewhere"
        ) from None


def read(path: Path) -> Contents:
    """Reads a file whole, and checks everything that can be checked without knowing what it says.

    Raises:
        CheckpointError: It is no such file, too large, of another version, or damaged.
    """
    import safetensors.numpy

    content = _read_bytes(path)
    header = content[_LENGTH : _LENGTH + _header_length(path, content[:_LENGTH], len(content))]
    envelope = _envelope(path, header)
    try:
        tensors = safetensors.numpy.load(content)
    except Exception as error:  # the library has many, among them KeyError for unknown types
        raise CheckpointError(
            path, f"damaged: its tensors cannot be read ({error}); copy or train it again"
        ) from None
    text = bytes(envelope.content)
    if envelope.sha256 != _checksum(text, tensors):
        raise CheckpointError(
            path, "damaged: its content differs from its checksum; copy or train it again"
        )
    return Contents(text, tensors)


def read_text(path: Path) -> bytes:
    """Reads the content without the tensors, and so without checking it, to list files quickly.

    Raises:
        CheckpointError: It is no such file, too large, or of another version.
    """
    size = _file_size(path)
    try:
        with path.open("rb") as file:
            length = _header_length(path, file.read(_LENGTH), size)
            return bytes(_envelope(path, file.read(length)).content)
    except OSError as error:
        raise _unreadable(path, error) from None


def _read_bytes(path: Path) -> bytes:
    _file_size(path)
    try:
        with path.open("rb") as file:
            # The file may grow after its size was looked at.
            content = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise _unreadable(path, error) from None
    _check_size(path, len(content))
    return content


def _file_size(path: Path) -> int:
    try:
        found = path.stat()
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise _unreadable(path, error) from None
    if not stat.S_ISREG(found.st_mode):
        raise CheckpointError(path, "expected a checkpoint file, got a folder or a device")
    _check_size(path, found.st_size)
    return found.st_size


def _check_size(path: Path, size: int) -> None:
    if size > MOST_BYTES:
        raise CheckpointError(
            path,
            f"expected at most {MOST_BYTES // 2**20} MB, got {size / 2**20:.0f} MB: a policy of "
            "GPC Studio is smaller; choose another file, or train with a smaller width",
        )


def _header_length(path: Path, prefix: bytes, size: int) -> int:
    length = int.from_bytes(prefix, "little")
    if len(prefix) < _LENGTH or not 2 <= length <= min(MOST_HEADER_BYTES, size - _LENGTH):
        raise CheckpointError(
            path,
            "expected a safetensors file, got something else or a part of one; choose a file that "
            "`gpc-studio train` has written",
        )
    return length


def _envelope(path: Path, header: bytes) -> _Envelope:
    try:
        # RecursionError: lists in lists in lists, which is what hostile files are made of.
        entries = msgspec.json.decode(header, type=dict[str, msgspec.Raw])
        notes = msgspec.json.decode(entries["__metadata__"], type=dict[str, str])
        note = notes[_KEY]
        version = msgspec.json.decode(note, type=_Version).version
        if version != VERSION:
            way = "update GPC Studio" if version > VERSION else "train it again"
            raise CheckpointError(path, f"expected format version {VERSION}, got {version}: {way}")
        return msgspec.json.decode(note, type=_Envelope)
    except (msgspec.MsgspecError, UnicodeError, KeyError, RecursionError) as error:
        raise CheckpointError(
            path,
            f"expected a checkpoint of GPC Studio, got a file without its description ({error}); "
            "choose a file that `gpc-studio train` has written",
        ) from None


def _checksum(text: bytes, tensors: Mapping[str, np.ndarray]) -> str:
    total = hashlib.sha256(text)
    for name in sorted(tensors):
        tensor = tensors[name]
        total.update(f"\0{name}\0{tensor.dtype.str}\0{tensor.shape}\0".encode())
        total.update(tensor.tobytes())
    return total.hexdigest()


def _unreadable(path: Path, error: Exception) -> CheckpointError:
    reason = getattr(error, "strerror", None) or str(error)
    return CheckpointError(path, f"cannot be read ({reason}): choose another file")
