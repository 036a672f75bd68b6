"""`gpc-studio evaluate`: how often controllers succeed at a task."""

from __future__ import annotations

import contextlib
import shlex
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from gpc_studio.app.arguments import parse_text, settings, weight_options
from gpc_studio.app.choice import choose_controller, choose_task
from gpc_studio.app.errors import UsageError
from gpc_studio.options import OptionError, describe, did_you_mean, updated

if TYPE_CHECKING:
    from gpc_studio.app.evaluate.course import Course
    from gpc_studio.app.evaluate.episodes import EpisodeRun
    from gpc_studio.app.evaluate.results import ResultsFile
    from gpc_studio.app.evaluate.starts import EpisodeStart
    from gpc_studio.controllers.options import PlanningOptions
    from gpc_studio.scenes.task import Task

DEFAULT_EPISODES = 100


@dataclass(frozen=True)
class EvaluateOptions:
    """Measure how often controllers succeed, in lock-step: plan, then advance one period.

    Results are written as episodes end. The same command goes on where it was interrupted; more
    episodes, or more controllers, are added to what is there. When fewer episodes are asked for
    than the file holds, table and figures cover those only, and the file keeps the others apart.
    """

    task: Annotated[str, tyro.conf.Positional]
    """Name of a task, or a file with a task of your own."""
    controllers: str = "predictive_sampling,mppi,cem"
    """Names of controllers, separated by commas."""
    episodes: int | None = None
    """Episodes of every controller; by default 100, or one for every initial state."""
    seed: int = 0
    """Seed from which the seeds of all episodes are derived."""
    initial_states: Path | None = None
    """JSON file with start states that are used in turn: a list of {"qpos": [...], "qvel": [...],
    "mocap_pos": [...], "mocap_quat": [...]}, the last two optional."""
    jobs: int = 1
    """Processes, which share the cores; results are the same for any number."""
    batch: int = 8
    """Episodes planned for at once in a process. Another size may round differently."""
    set: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    """An option of the controllers, as in `--set samples=64`; may be repeated."""
    weight: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    """Weight of a cost term, as in `--weight upright=2`; may be repeated."""
    out: Path | None = None
    """Results file; by default results/evaluate_TASK_seedSEED.json."""
    fresh: bool = False
    """Drop the results that the file holds."""


def command(arguments: Sequence[str]) -> int:
    """Runs the evaluation and prints the table; returns the exit code."""
    wanted = tyro.cli(EvaluateOptions, args=list(arguments), prog="gpc-studio evaluate")
    return run_to_end(wanted, shlex.join(["gpc-studio", "evaluate", *arguments]))


def run_to_end(
    wanted: EvaluateOptions, typed: str, course: Course | None = None, *, table: bool = True
) -> int:
    """Evaluates, prints the table or what went wrong, and returns the exit code.

    Args:
        wanted: What to evaluate.
        typed: The command, to be kept with the results.
        course: See `evaluate`.
        table: Whether to print the table.
    """
    from gpc_studio.app.evaluate.runner import WorkerError

    try:
        with _termination_interrupts():
            content = evaluate(wanted, typed, course)
    except KeyboardInterrupt:
        print("interrupted: finished episodes are kept, the same command goes on", file=sys.stderr)
        return 130
    except WorkerError as error:
        print(f"gpc-studio: {error}", file=sys.stderr)
        return 1

    if table:
        from rich.console import Console

        from gpc_studio.app.evaluate.report import results_table

        Console().print(results_table(content))
    return 0


def evaluate(
    wanted: EvaluateOptions, typed: str, course: Course | None = None
) -> Mapping[str, Any]:
    """Runs what is missing in the results file.

    Args:
        wanted: What to evaluate.
        typed: The command, to be kept with the results.
        course: How episodes go on where success does not end them, and what is measured; the
            number of episodes is then that of its trials.

    Returns:
        The content of the results file.

    Raises:
        UsageError: Something that was asked for cannot be done.
        OptionError: An option or a weight is not acceptable.
        PolicyError: A controller needs a policy that cannot be had.
        KeyboardInterrupt: Ctrl+C; what was finished is in the file.
    """
    for name, value in (("--episodes", wanted.episodes), ("--jobs", wanted.jobs),
                        ("--batch", wanted.batch)):  # fmt: skip
        if value is not None and value < 1:
            raise UsageError(f"{name}: expected a whole number of at least 1, got {value}")
    if wanted.seed < 0:
        raise UsageError(f"--seed: expected a whole number of at least 0, got {wanted.seed}")

    task = choose_task(wanted.task)
    weights = task.default_weights() | _weights(task, settings(wanted.weight, "--weight"))
    options = controller_options(task, wanted.controllers, settings(wanted.set, "--set"))
    policies = {name: policy_digest(task, chosen) for name, chosen in options.items()}
    starts, shared = _starts(wanted, task)
    if course is not None:
        starts = course.starts(wanted.seed, len(starts))
        shared |= {"course": course.settings()}
    path = wanted.out or Path("results") / f"evaluate_{task.name}_seed{wanted.seed}.json"

    from gpc_studio.app.evaluate.episodes import EpisodeRun
    from gpc_studio.app.evaluate.results import ResultsFile, only_writer

    shared |= {"weights": weights, "batch": wanted.batch, "task_source": task_digest(task)}
    with only_writer(path):
        results = ResultsFile(
            path, task.name, typed, shared, episodes=len(starts), fresh=wanted.fresh
        )
        missing = {}
        for name, chosen in options.items():
            done = results.begin(name, asdict(chosen) | policies[name])
            missing[name] = [start for start in starts if start.index not in done]
        measure = course.measure if course is not None else None
        runs = [
            EpisodeRun(
                wanted.task, name, chosen, weights, missing[name], wanted.batch, measure=measure
            )
            for name, chosen in options.items()
        ]
        _run(results, runs, wanted.jobs)
    return results.content


def controller_options(
    task: Task, names: str, changes: Mapping[str, str]
) -> dict[str, PlanningOptions]:
    """Options of every controller in a list, with the changes that it knows.

    Raises:
        UsageError: A controller is unknown or named twice.
        OptionError: No controller of the list has an option, or a value is not acceptable.
    """
    from gpc_studio.app.planners import with_policys_plans

    listed = [name.strip() for name in names.split(",") if name.strip()]
    if not listed or len(set(listed)) != len(listed):
        raise UsageError(f"--controllers: expected different names, with commas, got {names!r}")
    found = {name: choose_controller(task, name) for name in listed}
    known = {key for options in found.values() for key in describe(type(options))}
    for key, text in changes.items():
        if key not in known:
            raise OptionError(key, f"an option of {names}{did_you_mean(key, known)}", text)
    for name, options in found.items():
        own = describe(type(options))
        values = {k: parse_text(own[k], text) for k, text in changes.items() if k in own}
        found[name] = updated(options, with_policys_plans(task, options, values))
    return found


def policy_digest(task: Task, options: PlanningOptions) -> dict[str, str]:
    """Fingerprint of the policy of a controller; empty for one without.

    Raises:
        PolicyError: It cannot be had.
    """
    import hashlib

    from gpc_studio.app.planners import checkpoint_path, policy_proposals, uses_policy

    if not uses_policy(options):
        return {}
    policy_proposals(task, options)  # told here, and not by a process of the evaluation
    content = checkpoint_path(task, options).read_bytes()
    return {"checkpoint_digest": hashlib.sha256(content).hexdigest()[:16]}


def task_digest(task: Task) -> str:
    """Fingerprint of a task's source and model, by which results of another version are told."""
    import hashlib
    import inspect

    import mujoco
    import numpy as np

    content = hashlib.sha256(Path(inspect.getfile(type(task))).read_bytes())
    compiled = np.empty(mujoco.mj_sizeModel(task.model), np.uint8)
    mujoco.mj_saveModel(task.model, None, compiled)
    content.update(compiled.tobytes())
    return content.hexdigest()[:16]


@contextlib.contextmanager
def _termination_interrupts() -> Iterator[None]:
    """Treats a request to terminate as Ctrl+C, so that the processes of the evaluation end too."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _weights(task: Task, changes: Mapping[str, str]) -> dict[str, float]:
    known = weight_options(task.weights)
    for name, text in changes.items():
        if name not in known:
            raise OptionError(name, f"a cost term of {task.name}{did_you_mean(name, known)}", text)
    return {name: parse_text(known[name], text) for name, text in changes.items()}


def _starts(wanted: EvaluateOptions, task: Task) -> tuple[list[EpisodeStart], dict[str, Any]]:
    """Starts of all episodes, and the settings that they are made of."""
    from gpc_studio.app.evaluate.starts import digest, episode_starts, read_initial_states

    path = wanted.initial_states
    states = None if path is None else read_initial_states(path, task.model)
    episodes = wanted.episodes or (DEFAULT_EPISODES if states is None else len(states))
    starts = episode_starts(wanted.seed, episodes, states)
    return starts, {
        "seed": wanted.seed,
        "initial_states": digest(states),
        "episode_seconds": task.episode_seconds,
        "success_hold": task.success_hold,
    }


def _run(results: ResultsFile, runs: Sequence[EpisodeRun], jobs: int) -> None:
    """Runs the episodes that are missing, and keeps each as it ends."""
    from rich.console import Console

    from gpc_studio.app.evaluate import runner
    from gpc_studio.app.evaluate.report import ProgressBars

    with ProgressBars(Console(stderr=True)) as bars:
        for run in runs:
            row = results.row(run.controller)
            bars.add(row, len(row["episodes"]) + len(run.episodes))
        results.save()
        for event in runner.run(runs, jobs):
            if isinstance(event, runner.Finished):
                results.add(event.controller, event.engine, event.result)
                results.save()
            bars.show(event, results.row(event.controller))
