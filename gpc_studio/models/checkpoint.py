"""Checkpoints: policies as files, with all that is needed to use and to judge them.

See `docs/checkpoints.md` for the format. A file is read as data and checked whole before any of it
is used; whatever is wrong with it becomes a `CheckpointError` of one line.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec
import numpy as np

from gpc_studio.models import container
from gpc_studio.models.architecture import Architecture
from gpc_studio.models.container import CheckpointError, in_one_line

if TYPE_CHECKING:
    from gpc_studio.models.policy import Policy
    from gpc_studio.scenes.task import Task

__all__ = ["Checkpoint", "CheckpointError", "PlanFacts", "Provenance", "Row", "load", "save"]

MOST_MAGNITUDE = 1e4
"""Largest absolute weight: far beyond what training gives, and no overflow in a forward pass."""

MOST_LIMIT = 1e6
"""Largest absolute control limit, actuator units."""

Row: TypeAlias = dict[str, str | int | float | bool | None]
"""One measured result: figures by name, such as controller, episodes, success_rate, command."""


@dataclass(frozen=True)
class PlanFacts:
    """How the plans were made that a policy imitates; it is right for such plans only.

    Attributes:
        horizon: Time that a plan covers, s.
        spline: How controls are interpolated between knots.
        rate: Planning steps per second, Hz; the change of the observation between two of them is
            what a policy with `history` sees.
    """

    horizon: float
    spline: str
    rate: float

    def __post_init__(self) -> None:
        """Checks every field against the options of planners.

        Raises:
            OptionError: A value is out of range.
        """
        from gpc_studio.controllers.options import PlanningOptions
        from gpc_studio.options import describe

        described = describe(PlanningOptions)
        for name in ("horizon", "spline", "rate"):
            object.__setattr__(self, name, described[name].check(getattr(self, name)))


@dataclass(frozen=True)
class Provenance:
    """Where a policy comes from.

    Attributes:
        method: `gpc` or `offline`.
        command: The command that trained it.
        seed: Its seed.
        data: What it was trained on, one line: episodes, plans, controller.
        seconds: Duration of collecting and training, s.
        versions: Versions of the packages that trained it, by name.
    """

    method: str
    command: str
    seed: int
    data: str
    seconds: float
    versions: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Checkpoint:
    """A policy, and all that is known about it.

    Attributes:
        task: Name of the task that it was trained on.
        policy: The policy, with averaged weights.
        plan: How its plans were made.
        policy_range: `Task.policy_range` at training, which its knots are scaled by: lower and
            upper limits, each (nu,).
        provenance: Where it comes from.
        results: What was measured with it.
    """

    task: str
    policy: Policy
    plan: PlanFacts
    policy_range: tuple[tuple[float, ...], tuple[float, ...]]
    provenance: Provenance
    results: tuple[Row, ...] = ()

    @property
    def knots(self) -> int:
        """Knots of a plan, K."""
        return self.policy.architecture.knots

    @property
    def planning(self) -> dict[str, Any]:
        """Values of the planning options that fit the policy: horizon, knots, spline, rate."""
        return _planning(self.plan, self.policy.architecture)

    @classmethod
    def of(
        cls,
        task: Task,
        policy: Policy,
        plan: PlanFacts,
        provenance: Provenance,
        results: tuple[Row, ...] = (),
    ) -> Checkpoint:
        """The checkpoint of a policy that was trained on a task."""
        low, high = (tuple(float(value) for value in row) for row in task.policy_range)
        return cls(task.name, policy, plan, (low, high), provenance, results)


class _Content(msgspec.Struct, forbid_unknown_fields=True):
    """The JSON of a file; tensors lie beside it."""

    task: str
    architecture: Architecture
    plan: PlanFacts
    policy_range: tuple[tuple[float, ...], tuple[float, ...]]
    provenance: Provenance
    results: tuple[Row, ...]


def save(path: Path | str, checkpoint: Checkpoint) -> None:
    """Writes a checkpoint in one piece, and its folder if it does not exist.

    What could not be loaded again is not written.

    Raises:
        CheckpointError: The policy is not sound, as after a training that diverged, or the file
            cannot be written.
    """
    path = Path(path)
    content = _Content(
        task=checkpoint.task,
        architecture=checkpoint.policy.architecture,
        plan=checkpoint.plan,
        policy_range=checkpoint.policy_range,
        provenance=checkpoint.provenance,
        results=checkpoint.results,
    )
    text, tensors = msgspec.json.encode(content), _tensors(checkpoint.policy)
    _checked(path, text, tensors)
    container.write(path, text, tensors)


def load(path: Path | str, task: Task | None = None) -> Checkpoint:
    """Reads and checks a checkpoint.

    Args:
        path: The file.
        task: The task that it shall be used for; None checks the file alone.

    Raises:
        CheckpointError: The file cannot be used, or not for this task.
    """
    path = Path(path)
    contents = container.read(path)
    checkpoint = _checked(path, contents.text, contents.tensors)
    if task is not None:
        check_task(path, checkpoint, task)
    return checkpoint


def task_of(path: Path) -> str:
    """Name of the task that a file was trained on, from its header alone.

    Raises:
        CheckpointError: It is no checkpoint, or of another version.
    """
    try:
        return msgspec.json.decode(container.read_text(path), type=_TaskName).task
    except (msgspec.MsgspecError, RecursionError) as error:
        raise _ill_described(path, error) from None


class _TaskName(msgspec.Struct):
    task: str


def planning_of(path: Path) -> dict[str, Any]:
    """`Checkpoint.planning` of a file, from its header alone.

    Raises:
        CheckpointError: It is no checkpoint, or of another version.
    """
    try:
        facts = msgspec.json.decode(container.read_text(path), type=_Planning)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise _ill_described(path, error) from None
    return _planning(facts.plan, facts.architecture)


class _Planning(msgspec.Struct):
    plan: PlanFacts
    architecture: Architecture


def _planning(plan: PlanFacts, architecture: Architecture) -> dict[str, Any]:
    return {
        "horizon": plan.horizon, "knots": architecture.knots, "spline": plan.spline,
        "rate": plan.rate,
    }  # fmt: skip


def check_task(path: Path, checkpoint: Checkpoint, task: Task) -> None:
    """Checks that a task can use a checkpoint.

    Raises:
        CheckpointError: It was trained on another task, or its sizes or ranges are not the task's.
    """
    if checkpoint.task not in (task.name, *task.policies_of):
        known = " or ".join((task.name, *task.policies_of))
        raise CheckpointError(
            path,
            f"expected a policy for {known}, got one for {in_one_line(checkpoint.task)}: choose "
            f"another, or train one with `gpc-studio train {task.name}`",
        )
    architecture = checkpoint.policy.architecture
    for what, got, expected in (
        ("observations", architecture.observation, _observation_size(task)),
        ("controls", architecture.controls, task.nu),
    ):
        if got != expected:
            raise CheckpointError(
                path,
                f"expected a policy for {expected} {what}, as {task.name} has now, got one for "
                f"{got}: train it again",
            )
    if not np.allclose(np.asarray(checkpoint.policy_range), task.policy_range, rtol=1e-5):
        raise CheckpointError(
            path,
            f"expected a policy for the control limits that {task.name} has now, got one for "
            "others: train it again",
        )


def _checked(path: Path, text: bytes, tensors: Mapping[str, np.ndarray]) -> Checkpoint:
    """The checkpoint of a file's contents, if they are sound."""
    from gpc_studio.models.policy import Policy

    try:
        content = msgspec.json.decode(text, type=_Content)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise _ill_described(path, error) from None
    low, high = (np.asarray(limit) for limit in content.policy_range)
    controls = content.architecture.controls
    if not low.shape == high.shape == (controls,) or np.abs([low, high]).max() > MOST_LIMIT:
        raise CheckpointError(
            path,
            f"expected a policy range of {controls} controls within +-{MOST_LIMIT:g}: train it "
            "again",
        )
    if not (low < high).all():
        raise CheckpointError(
            path, "expected lower control limits below upper control limits: train it again"
        )
    weights, normaliser = _policy_arrays(path, content.architecture, tensors)
    return Checkpoint(
        task=content.task,
        policy=Policy(weights, normaliser, content.architecture),
        plan=content.plan,
        policy_range=content.policy_range,
        provenance=content.provenance,
        results=content.results,
    )


def _ill_described(path: Path, error: Exception) -> CheckpointError:
    return CheckpointError(
        path,
        f"its description is not one of a policy ({error}); choose a file that "
        "`gpc-studio train` has written",
    )


def _policy_arrays(
    path: Path, architecture: Architecture, tensors: Mapping[str, np.ndarray]
) -> tuple[Any, Any]:
    """Weights and normaliser out of the tensors of a file, all of them checked."""
    import jax

    from gpc_studio.models.policy import Normaliser, weight_shapes

    row = jax.ShapeDtypeStruct((architecture.observation,), np.float32)
    expected = _named(weight_shapes(architecture), Normaliser(row, row, row))
    for name in sorted(expected.keys() | tensors.keys()):
        if name not in tensors:
            raise CheckpointError(path, f"tensor {name} is missing: copy or train it again")
        if name not in expected:
            raise CheckpointError(
                path,
                f"unexpected tensor {in_one_line(name)}: the architecture it names has none; "
                "train it again",
            )
        _check_tensor(path, name, tensors[name], expected[name])
    for name in ("normaliser.std", "normaliser.change"):
        # Smaller ones are zero to XLA, and what is divided by them is not a number.
        if not (tensors[name] >= np.finfo(np.float32).tiny).all():
            raise CheckpointError(path, f"{name}: expected positive numbers: train it again")

    def take(prefix: str, shapes: Any) -> Any:
        leaves = [
            jax.numpy.asarray(tensors[_name(prefix, keys)])
            for keys, _ in jax.tree_util.tree_leaves_with_path(shapes)
        ]
        return jax.tree.unflatten(jax.tree.structure(shapes), leaves)

    return (
        take("weights", weight_shapes(architecture)),
        take("normaliser", Normaliser(row, row, row)),
    )


def _check_tensor(path: Path, name: str, tensor: np.ndarray, expected: Any) -> None:
    if tensor.shape != expected.shape or tensor.dtype != expected.dtype:
        raise CheckpointError(
            path,
            f"tensor {name}: expected {expected.dtype} of shape {expected.shape}, got "
            f"{tensor.dtype} of shape {tensor.shape}: train it again",
        )
    # Comparing also catches numbers that are not finite.
    if not (np.abs(tensor) <= MOST_MAGNITUDE).all():
        raise CheckpointError(
            path,
            f"tensor {name}: expected numbers within +-{MOST_MAGNITUDE:g}, got others, as from a "
            "training that diverged: train it again",
        )


def _tensors(policy: Policy) -> dict[str, np.ndarray]:
    return {
        name: np.asarray(value) for name, value in _named(policy.weights, policy.normaliser).items()
    }


def _named(weights: Any, normaliser: Any) -> dict[str, Any]:
    """Leaves by name, such as `weights.hidden.0.kernel` and `normaliser.mean`."""
    import jax

    return {
        _name(prefix, keys): leaf
        for prefix, tree in (("weights", weights), ("normaliser", normaliser))
        for keys, leaf in jax.tree_util.tree_leaves_with_path(tree)
    }


def _name(prefix: str, keys: Any) -> str:
    import jax

    return f"{prefix}." + jax.tree_util.keystr(keys, simple=True, separator=".")


def _observation_size(task: Task) -> int:
    """Entries of the task's observation, by tracing it on shapes."""
    import jax

    from gpc_studio.scenes.state import State

    model = task.model

    def row(*shape: int) -> Any:
        return jax.ShapeDtypeStruct(shape, np.float32)

    state = State(
        time=row(), qpos=row(model.nq), qvel=row(model.nv), act=row(model.na),
        sensordata=row(model.nsensordata), mocap_pos=row(model.nmocap, 3),
        mocap_quat=row(model.nmocap, 4),
    )  # fmt: skip
    return jax.eval_shape(task.observe, state).shape[0]
