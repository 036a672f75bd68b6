"""A library of policies with random weights, for tests."""

import dataclasses

import jax
import numpy as np

from gpc_studio.app.planners import default_options
from gpc_studio.models import library
from gpc_studio.models.architecture import Architecture, NetworkOptions
from gpc_studio.models.checkpoint import Checkpoint, PlanFacts, Provenance, save
from gpc_studio.models.policy import Normaliser, new_policy
from gpc_studio.scenes.state import State


def use_library(patch, folder):
    """Has the program look for policies in an empty folder, and nowhere else."""
    shipped = folder / "shipped"
    shipped.mkdir(exist_ok=True)
    patch.setattr(library, "shipped_dir", lambda: shipped)
    patch.setenv("XDG_DATA_HOME", str(folder))


def observation_size(task):
    """Entries of the task's observation at any state."""
    import mujoco

    state = State.from_data(mujoco.MjData(task.model))
    return np.asarray(task.observe(state)).shape[0]


def add_policy(task, name, seed=0, width=8, **changes):
    """Saves a policy for plans of the task's defaults, but for changes; returns its file."""
    options, size = default_options(task, "mppi"), observation_size(task)
    options = dataclasses.replace(options, **changes)
    architecture = Architecture.of(
        NetworkOptions(width=width, layers=1),
        knots=options.knots, controls=task.nu, observation=size,
    )  # fmt: skip
    policy = new_policy(architecture, Normaliser.identity(size), jax.random.key(seed))
    rng = np.random.default_rng(seed)
    weights = jax.tree.map(
        lambda x: x + 0.3 * rng.normal(size=x.shape).astype(np.float32), policy.weights
    )
    checkpoint = Checkpoint.of(
        task,
        dataclasses.replace(policy, weights=weights),
        PlanFacts(options.horizon, options.spline, options.rate),
        Provenance("gpc", "a test", seed, "none", 0.0),
    )
    path = library.path_for(name)
    save(path, checkpoint)
    return path
