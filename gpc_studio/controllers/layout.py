"""Small arrays packed into rows: a call is faster with one array to convert than with many."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Generic, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from gpc_studio.controllers.options import PlanningOptions, encoded
from gpc_studio.scenes.state import Array, State
from gpc_studio.scenes.task import Task

Arrays = TypeVar("Arrays", bound=tuple[Any, ...])


class Rows(Generic[Arrays]):
    """A NamedTuple of arrays as one float32 row, and back; whole numbers must be below 2^24.

    Attributes:
        width: Numbers in a row.
    """

    def __init__(self, shapes: Arrays) -> None:
        """Takes the NamedTuple with the shapes of the arrays in their place."""
        self._shapes = shapes
        ends = np.cumsum([math.prod(shape) for shape in shapes]).tolist()
        self.width = ends[-1]
        self._slices = [slice(*ends_of) for ends_of in zip([0, *ends], ends, strict=False)]

    def pack(self, values: Arrays) -> Array:
        """One row (width,); traced."""
        return jnp.concatenate([jnp.ravel(value).astype(jnp.float32) for value in values])

    def unpack(self, rows: Array) -> Arrays:
        """Views of rows (..., width) as arrays (..., *shape)."""
        parts = (
            rows[..., part].reshape(*rows.shape[:-1], *shape)
            for part, shape in zip(self._slices, self._shapes, strict=True)
        )
        return type(self._shapes)(*parts)


class Settings:
    """Weights of the cost terms and options as one vector on the device, new when one changes."""

    def __init__(self, task: Task, options: PlanningOptions) -> None:
        leaves, self._structure = jax.tree.flatten(encoded(options))
        self._types = [leaf.dtype for leaf in leaves]
        self._task, self._options = task, options
        self._leaves, self._weights = leaves, ()
        self._vector: Array = None

    def vector(self, options: PlanningOptions, weights: Mapping[str, float]) -> Array:
        """The vector; the same array as long as nothing changes.

        Raises:
            ValueError: A weight is missing.
        """
        try:
            values = tuple(weights[name] for name in self._task.weights)
        except KeyError as error:
            raise ValueError(f"task {self._task.name}: no weight given for {error}") from None
        if options is not self._options or values != self._weights:
            if options is not self._options:
                self._options, self._leaves = options, jax.tree.leaves(encoded(options))
            self._weights = values
            self._vector = jax.device_put(np.array([*values, *self._leaves], np.float32))
        return self._vector

    def weights(self, vector: Array) -> Array:
        """Weights (n_terms,) in the order of `task.weights`; traced."""
        return vector[: len(self._task.weights)]

    def options(self, vector: Array) -> Any:
        """Encoded options; traced."""
        leaves = vector[len(self._task.weights) :]
        typed = [leaf.astype(kind) for leaf, kind in zip(leaves, self._types, strict=True)]
        return jax.tree.unflatten(self._structure, typed)


class Layout:
    """States as rows, and traced points out of sensor readings."""

    def __init__(self, task: Task) -> None:
        model = task.model
        self._rows = Rows(
            State(
                time=(),
                qpos=(model.nq,),
                qvel=(model.nv,),
                act=(model.na,),
                sensordata=(model.nsensordata,),
                mocap_pos=(model.nmocap, 3),
                mocap_quat=(model.nmocap, 4),
            )
        )
        columns = task.trace_columns
        self._traces: Any = columns
        flat = columns.ravel()
        if flat.size and (np.diff(flat) == 1).all():
            self._traces = slice(flat[0], flat[-1] + 1)  # a view, not a copy
        self._points = len(columns)

    def pack(self, state: State, passed: np.ndarray) -> np.ndarray:
        """States (E, ...) and the times since the last plans (E,) as rows (E, width)."""
        count = len(passed)
        parts = [np.asarray(value).reshape(count, -1) for value in state]
        return np.concatenate([passed[:, None], *parts], axis=1, dtype=np.float32)

    def unpack(self, row: Array) -> tuple[State, Array]:
        """State and time since the last plan from a row (width,)."""
        return self._rows.unpack(row[1:]), row[0]

    def traces(self, sensordata: np.ndarray) -> np.ndarray:
        """Traced points along sensor readings (..., nsensordata) -> (..., S, 3)."""
        return sensordata[..., self._traces].reshape(*sensordata.shape[:-1], self._points, 3)
