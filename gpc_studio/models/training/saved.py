"""Training that was interrupted: a pytree of arrays in one safetensors file.

Only arrays and JSON are stored; nothing in a file is ever executed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import jax
import numpy as np

from gpc_studio.files import write_atomically

T = TypeVar("T")


class SavedError(ValueError):
    """A saved state cannot be used; the message says why and how to go on."""


def save(path: Path, tree: Any, facts: Mapping[str, Any]) -> None:
    """Writes a pytree of arrays, and facts about it as JSON, in one piece."""
    from safetensors.numpy import save as packed

    arrays = {name: np.asarray(value, order="C") for name, value in _named(tree).items()}
    write_atomically(path, packed(arrays, {"facts": json.dumps(facts)}))


def read_facts(path: Path) -> dict[str, Any]:
    """The facts of a saved state.

    Raises:
        SavedError: The file is damaged.
    """
    return _open(path, lambda file: json.loads(file.metadata()["facts"]))


def load(path: Path, like: T) -> T:
    """A saved pytree with the structure, shapes and types of `like`.

    Raises:
        SavedError: The file is damaged or holds something else.
    """
    wanted = _named(like)
    arrays = _open(path, lambda file: {n: file.get_tensor(n) for n in file.keys()})  # noqa: SIM118
    for name, value in wanted.items():
        found = arrays.get(name)
        if found is None or found.shape != value.shape or found.dtype != value.dtype:
            raise SavedError(
                f"{path}: expected {name} {value.dtype}{value.shape}, got "
                f"{'nothing' if found is None else f'{found.dtype}{found.shape}'}; "
                "--fresh begins again"
            )
    treedef = jax.tree.structure(like)
    return jax.tree.unflatten(treedef, [arrays[name] for name in wanted])


def _named(tree: Any) -> dict[str, np.ndarray]:
    leaves = jax.tree_util.tree_flatten_with_path(tree)[0]
    return {jax.tree_util.keystr(path): np.asarray(value) for path, value in leaves}


def _open(path: Path, read: Any) -> Any:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "numpy") as file:
            return read(file)
    except (SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
        raise SavedError(f"{path}: damaged ({error!r:.80}); --fresh begins again") from None
