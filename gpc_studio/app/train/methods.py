"""Either method from start to end: go on where it was stopped, tell, save, write the checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax

from gpc_studio.app.errors import UsageError
from gpc_studio.app.evaluate.results import versions
from gpc_studio.app.train import curves
from gpc_studio.app.train.collect import collect, dataset_settings, gathering
from gpc_studio.app.train.command import Running, gpc_planning, run_settings
from gpc_studio.models.checkpoint import Checkpoint, PlanFacts, Provenance, save
from gpc_studio.models.training import saved

if TYPE_CHECKING:
    from gpc_studio.app.train.command import Asked
    from gpc_studio.app.train.gathering import Gathering
    from gpc_studio.controllers.options import PlanningOptions
    from gpc_studio.models.policy import Policy
    from gpc_studio.models.training.dataset import Dataset, Sequences
    from gpc_studio.models.training.gpc import GpcState, GpcTraining
    from gpc_studio.models.training.offline import OfflineTraining

_SAVE_SECONDS = 20.0
"""Time between two saves of a long fit; one is also made when it is asked to stop."""


def train(running: Running, path: Path) -> str:
    """Trains by the method that was asked for, and writes the checkpoint.

    Args:
        running: What was asked for, and whom to tell.
        path: The checkpoint.

    Returns:
        One line to say at the end.

    Raises:
        Stopped: It was asked to stop; the state is saved.
        UsageError: The folder holds a training with other settings, or the checkpoint comes from
            somewhere else.
        DatasetError: The dataset cannot be used.
        FloatingPointError: The loss is no longer finite.
    """
    if path.exists() and not running.folder.begun and not running.asked.flags["fresh"]:
        raise UsageError(
            f"{path} is there already, and nothing beside it says how it was trained; "
            "give another --name, or --fresh to replace it"
        )
    return {"gpc": _train_gpc, "offline": _train_offline}[running.asked.method](running, path)


def _train_gpc(running: Running, path: Path) -> str:
    asked, folder = running.asked, running.folder
    planning = gpc_planning(asked)
    settings = run_settings(asked, {"planning": asdict(planning)})
    if folder.begin(settings, fresh=asked.flags["fresh"]) and path.exists():
        return _already(path)

    from gpc_studio.models.training.gpc import GpcTraining

    running.teller.progress("train", 0.0, "preparing")
    training = GpcTraining(
        asked.task, asked.options, planning, weights=asked.weights, seed=asked.flags["seed"]
    )
    try:
        state, seconds = _gpc_rounds(running, training)
    finally:
        training.close()
    options = asked.options
    plans = options.iterations * options.episodes * options.plans
    data = (
        f"{options.iterations} rounds of {options.episodes} episodes, {plans} plans of "
        f"{options.rule} with {options.gaussian_samples} Gaussian and {options.policy_samples} "
        "policy samples"
    )
    save(path, _checkpoint(running, training.policy(state), planning, data, seconds))
    return _finished(running, path, settings, seconds)


def _gpc_rounds(running: Running, training: GpcTraining) -> tuple[GpcState, float]:
    """All rounds that are left; the state after them and the time of all, s."""
    asked, folder = running.asked, running.folder
    state, first, before = training.start(), 0, 0.0
    if folder.state.exists():
        facts = saved.read_facts(folder.state)
        first, before = int(facts["rounds"]), float(facts["seconds"])
        state = jax.tree.map(jax.numpy.array, saved.load(folder.state, state))
    folder.keep_metrics(first + 1)
    running.teller.keep_in(folder)
    total = asked.options.iterations
    for number in range(first, total):

        def tick(stage: str, fraction: float, number: int = number) -> None:
            part = fraction * 0.5 + (0.5 if stage == "fit" else 0.0)
            running.teller.progress(
                "train",
                (number + part) / total,
                f"round {number + 1}/{total}, {'fitting' if stage == 'fit' else 'collecting'}",
            )
            running.stopping.check()

        state, result = training.round(state, number, tick)
        seconds = before + running.seconds
        scalars = {name: float(value) for name, value in result._asdict().items()}
        running.teller.scalars(number + 1, {**scalars, "seconds": seconds})
        policy = training.policy(state)
        data = f"{number + 1} of {total} rounds"
        save(
            folder.round_checkpoint(number + 1),
            _checkpoint(running, policy, training.planning, data, seconds),
        )
        # Last: a round whose state is saved has all its files.
        saved.save(folder.state, state, {"rounds": number + 1, "seconds": seconds})
    running.teller.progress("train", 1.0, f"{total} rounds")
    return state, before + running.seconds


def _train_offline(running: Running, path: Path) -> str:
    from gpc_studio.models.training.dataset import Dataset

    asked, folder = running.asked, running.folder
    wanted, data_folder = None, asked.flags["data"]
    if data_folder is None:
        wanted, data_folder = _own_gathering(asked), folder.data
        source, count = dataset_settings(wanted), wanted.episodes
    else:
        given = Dataset(data_folder)
        _check_task(running, given)
        source, count = dict(given.settings), len(given.episodes())
    settings = run_settings(asked, {"data": source, "episodes": count})
    if folder.begin(settings, fresh=asked.flags["fresh"]) and path.exists():
        return _already(path)
    if wanted is not None:
        fresh = asked.flags["fresh"] and not Dataset.fits(data_folder, source)
        collect(wanted, data_folder, running.teller, running.stopping, fresh=fresh)
    dataset = Dataset(data_folder)
    planning = dataset.settings["planning"]
    most = None if wanted is None else wanted.episodes  # an earlier command may have made more
    episodes, sequences = dataset.episodes(most), dataset.sequences(most)
    _check_sizes(running, dataset, sequences)

    from gpc_studio.models.training.offline import OfflineTraining

    training = OfflineTraining(asked.task, asked.options, sequences, seed=asked.flags["seed"])
    policy, seconds = _offline_fit(running, training)
    won = sum(record.success for record in episodes)
    data = (
        f"{len(sequences.episode)} plans of {won} successful episodes of {len(episodes)}, "
        f"{dataset.settings['controller']} with {planning['samples']} samples and "
        f"{planning.get('iterations', 1)} iterations"
    )
    save(path, _checkpoint(running, policy, _Facts(planning), data, seconds))
    return _finished(running, path, settings, seconds)


def _own_gathering(asked: Asked) -> Gathering:
    """What a training collects for itself."""
    from gpc_studio.app.train.asked import taken
    from gpc_studio.models.training.options import CollectOptions, training_defaults

    options = taken(training_defaults(asked.task, "collect", CollectOptions()), asked.flags)
    return gathering(asked.named, asked.task, options, asked.flags)


def _check_task(running: Running, dataset: Dataset) -> None:
    from gpc_studio.models.training.dataset import DatasetError

    task = running.asked.task
    if dataset.settings.get("task") not in (task.name, *task.policies_of):
        raise DatasetError(
            f"{dataset.folder}: expected data of {task.name}, got those of "
            f"{dataset.settings.get('task')!r:.60}"
        )


def _check_sizes(running: Running, dataset: Dataset, sequences: Sequences) -> None:
    """A task may have changed since: what is learned from other sizes could never be used."""
    from gpc_studio.controllers.costs import example_state
    from gpc_studio.models.training.dataset import DatasetError

    task = running.asked.task
    nobs = jax.eval_shape(task.observe, example_state(task)).shape[0]
    for what, got, expected in (
        ("observations", sequences.observation.shape[1], nobs),
        ("controls", sequences.knots.shape[2], task.nu),
    ):
        if got != expected:
            raise DatasetError(
                f"{dataset.folder}: expected {expected} {what}, as {task.name} has now, got {got}: "
                "collect it again"
            )


def _offline_fit(running: Running, training: OfflineTraining) -> tuple[Policy, float]:
    """All optimiser steps that are left."""
    asked, folder = running.asked, running.folder
    state, before = training.start(), 0.0
    if folder.state.exists():
        before = float(saved.read_facts(folder.state)["seconds"])
        state = jax.tree.map(jax.numpy.array, saved.load(folder.state, state))
    folder.keep_metrics(int(state.step) + 1)
    running.teller.keep_in(folder)
    total, last_save = asked.options.steps, running.seconds
    while int(state.step) < total:
        step = int(state.step)
        running.teller.progress("fit", step / total, f"{step}/{total} optimiser steps")
        if running.stopping.asked or running.seconds - last_save > _SAVE_SECONDS:
            saved.save(folder.state, state, {"seconds": before + running.seconds})
            last_save = running.seconds
        running.stopping.check()
        state, measured = training.advance(state)
        scalars = {"loss": measured.loss, "validation_loss": measured.validation_loss}
        running.teller.scalars(measured.step, {**scalars, "seconds": before + running.seconds})
    running.teller.progress("fit", 1.0, f"{total} optimiser steps")
    return training.policy(state), before + running.seconds


class _Facts:
    """Planning options out of a dataset's settings, by attribute."""

    def __init__(self, planning: Mapping[str, Any]) -> None:
        self.horizon, self.spline = float(planning["horizon"]), str(planning["spline"])
        self.rate = float(planning["rate"])


def _checkpoint(
    running: Running, policy: Policy, planning: PlanningOptions | _Facts, data: str, seconds: float
) -> Checkpoint:
    asked = running.asked
    provenance = Provenance(
        method=asked.method,
        command=asked.typed,
        seed=asked.flags["seed"],
        data=data,
        seconds=round(seconds, 1),
        versions=versions(),
    )
    facts = PlanFacts(planning.horizon, planning.spline, planning.rate)
    return Checkpoint.of(asked.task, policy, facts, provenance)


def _finished(running: Running, path: Path, settings: Mapping[str, Any], seconds: float) -> str:
    asked, folder = running.asked, running.folder
    title = f"{asked.task.title}: {asked.name} ({asked.method}, seed {asked.flags['seed']})"
    curves.draw(folder.picture, asked.method, title, folder.metrics())
    folder.finish(settings)
    return f"trained in {seconds:.0f} s: {path}; curves in {folder.picture}"


def _already(path: Path) -> str:
    return f"already trained: {path}; --fresh trains it again"
