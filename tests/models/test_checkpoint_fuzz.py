"""Mutated files: none loads silently changed, none raises anything but `CheckpointError`."""

import json
import random
import struct
import time

import numpy as np
import pytest

from gpc_studio.models import container
from gpc_studio.models.checkpoint import CheckpointError, load, save
from tests.models.test_checkpoint import TASK, checkpoint, same

FILES = 2000
SIGNED = 500
VALUES = (
    None,
    True,
    0,
    -1,
    2**63,
    10**40,
    1.5,
    -1e308,
    "",
    "x" * 300,
    "\0",
    [],
    [[]],
    {},
    {"a": 1},
)


def flip_bits(rng, content):
    changed = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 8))):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def flip_header_bits(rng, content):
    (length,) = struct.unpack("<Q", content[:8])
    return flip_bits(rng, content[: 8 + length]) + content[8 + length :]


def truncate(rng, content):
    return content[: rng.randrange(len(content))]


def extend(rng, content):
    return content + rng.randbytes(rng.randrange(1, 100))


def splice(rng, content):
    """A part of the file over another part of it."""
    size = rng.randrange(1, 200)
    source, target = (rng.randrange(len(content) - size) for _ in range(2))
    return content[:target] + content[source : source + size] + content[target + size :]


def with_header(content, edit):
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    edit(header)
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + content[8 + length :]


def change_entry(rng, content):
    """A tensor's type, shape or place, at random."""

    def edit(header):
        entry = header[rng.choice([name for name in header if name != "__metadata__"])]
        field = rng.choice(("dtype", "shape", "data_offsets"))
        entry[field] = rng.choice(
            (*VALUES, "F64", "I32", "BF16", "F8_E4M3", [2**40, 2**40], [0, 2**62], [4, 0], [1, 1])
        )

    return with_header(content, edit)


def swap_entries(rng, content):
    """Two tensors trade shapes and places."""

    def edit(header):
        one, other = rng.sample([name for name in header if name != "__metadata__"], 2)
        header[one], header[other] = header[other], header[one]

    return with_header(content, edit)


def change_json(rng, value):
    """One random place of a JSON value becomes a random value, disappears, or is added to."""
    if isinstance(value, dict) and value and rng.random() < 0.8:
        name = rng.choice(list(value))
        kind = rng.random()
        if kind < 0.15:
            del value[name]
        elif kind < 0.3:
            value[rng.choice(("new", "task", "version"))] = rng.choice(VALUES)
        else:
            value[name] = change_json(rng, value[name])
        return value
    if isinstance(value, list) and value and rng.random() < 0.5:
        index = rng.randrange(len(value))
        value[index] = change_json(rng, value[index])
        return value
    return rng.choice(VALUES)


def change_note(rng, content):
    """The text of the description, or the JSON in it."""

    def edit(header):
        if rng.random() < 0.2:
            header["__metadata__"] = change_json(rng, header["__metadata__"])
        else:
            note = change_json(rng, json.loads(header["__metadata__"]["gpc_studio"]))
            header["__metadata__"]["gpc_studio"] = json.dumps(note)

    return with_header(content, edit)


MUTATIONS = (
    flip_bits, flip_header_bits, truncate, extend, splice, change_entry, swap_entries, change_note
)  # fmt: skip


@pytest.fixture
def original():
    return checkpoint(layers=1, knots=2, time_features=3)


def test_no_mutated_file_loads_silently_or_crashes(tmp_path, original):
    path = tmp_path / "some.safetensors"
    save(path, original)
    content = path.read_bytes()
    rng = random.Random(0)
    unchanged = 0
    start = time.perf_counter()
    for index in range(FILES):
        mutated = MUTATIONS[index % len(MUTATIONS)](rng, content)
        path.write_bytes(mutated)
        try:
            loaded = load(path, TASK)
        except CheckpointError as error:
            assert str(error).isprintable(), mutated
            assert len(str(error)) < 800
            continue
        unchanged += 1
        assert same(loaded, original), mutated
    assert unchanged < 0.01 * FILES  # mutations that say the same in other words
    assert time.perf_counter() - start < 60.0


def test_descriptions_with_a_fitting_checksum_are_still_checked(tmp_path, original):
    """Someone who knows the format writes nonsense: it is refused, or it is a sound checkpoint."""
    path = tmp_path / "some.safetensors"
    save(path, original)
    held = container.read(path)
    rng = random.Random(1)
    refused = 0
    for _ in range(SIGNED):
        text = json.dumps(change_json(rng, json.loads(held.text))).encode()
        tensors = dict(held.tensors)
        if rng.random() < 0.3:
            name = rng.choice(list(tensors))
            shape = rng.choice(((), (0,), (3,), (1, 1), (7, 8), (2, 3, 4)))
            tensors[name] = np.full(shape, rng.choice((0.0, 1.0, np.nan, 1e30)), np.float32)
        container.write(path, text, tensors)
        try:
            loaded = load(path, TASK)
        except CheckpointError as error:
            refused += 1
            assert str(error).isprintable()
            continue
        save(path, loaded)
        assert same(load(path, TASK), loaded)
    assert refused > 0.6 * SIGNED
