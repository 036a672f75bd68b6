"""Perturbed models for planning under uncertain physics."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import numpy as np

from gpc_studio.scenes.task import Randomisation, Task

if TYPE_CHECKING:
    import mujoco


def draw(task: Task, count: int, seed: int = 0) -> list[mujoco.MjModel]:
    """Models of `count` domains.

    Domain 0 is the task's own model. In every other, each of the task's randomisations multiplies
    its field by one factor, uniform between its limits and common to all the names and columns it
    concerns, so that parts of one body change together. Domain d is the same whatever `count`.

    Args:
        task: The task; a task without randomisations gives equal domains.
        count: Number of domains, D.
        seed: Seed of the factors.

    Returns:
        D models. Write to none of them.

    Raises:
        ValueError: A randomisation names a field or an object that the model lacks.
    """
    models = [task.model]
    for domain in range(1, count):
        rng = np.random.default_rng([seed, domain])
        models.append(perturbed(task.model, task.randomisations, rng))
    return models


def perturbed(
    model: mujoco.MjModel, randomisations: tuple[Randomisation, ...], rng: np.random.Generator
) -> mujoco.MjModel:
    """A copy of `model` with every randomisation drawn once."""
    import mujoco

    changed = copy.copy(model)
    for randomisation in randomisations:
        factor = rng.uniform(randomisation.low, randomisation.high)
        _scale(changed, randomisation, factor)
    mujoco.mj_setConst(changed, mujoco.MjData(changed))
    return changed


def _scale(model: mujoco.MjModel, randomisation: Randomisation, factor: float) -> None:
    """Multiplies the rows and columns concerned, in place."""
    owner, name = model, randomisation.field
    if name.startswith("opt."):
        owner, name = model.opt, name[4:]
    values = getattr(owner, name, None)
    if isinstance(values, float) and not randomisation.names:
        setattr(owner, name, values * factor)
        return
    if not isinstance(values, np.ndarray) or values.dtype.kind != "f":
        raise ValueError(
            f"randomisation of {randomisation.field!r}: expected a field of numbers of MjModel"
        )
    rows = _rows(model, randomisation) if randomisation.names else list(range(len(values)))
    for row in rows:
        if randomisation.columns:
            values[row, list(randomisation.columns)] *= factor
        else:
            values[row] *= factor


# Kinds of named objects by the prefix of the fields that have a row for each of them.
_KINDS = ("body", "geom", "actuator", "site", "tendon")


def _rows(model: mujoco.MjModel, randomisation: Randomisation) -> list[int]:
    """Rows of the field that belong to the names."""
    field = randomisation.field
    kind = field.split("_", 1)[0]
    rows: list[int] = []
    for name in randomisation.names:
        try:
            if kind == "jnt":
                rows.append(model.joint(name).id)
            elif kind == "dof":
                joint = model.joint(name)
                rows.extend(range(joint.dofadr[0], joint.dofadr[0] + _dofs(model, joint.id)))
            elif kind in _KINDS:
                rows.append(getattr(model, kind)(name).id)
            else:
                raise ValueError(
                    f"randomisation of {field!r}: its rows have no names; leave names empty"
                )
        except KeyError as error:
            raise ValueError(f"randomisation of {field!r}: {error.args[0]}") from None
    return rows


def _dofs(model: mujoco.MjModel, joint: int) -> int:
    return int(np.count_nonzero(model.dof_jntid == joint))
