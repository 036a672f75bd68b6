"""`gpc-studio train`: a policy for a task, by either method."""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, Any

from gpc_studio.app.choice import choose_task
from gpc_studio.app.errors import UsageError
from gpc_studio.app.train.asked import (
    check_seed,
    cost_weights,
    planner_of,
    planning_changes,
    read_flags,
    shared_flags,
    taken,
    to_go_on,
    unwritten,
)
from gpc_studio.app.train.collect import first_word
from gpc_studio.app.train.stopping import Stopped, Stopping, stopping_on_signals
from gpc_studio.app.train.telling import Teller
from gpc_studio.options import did_you_mean, updated

if TYPE_CHECKING:
    from gpc_studio.app.train.run_folder import RunFolder
    from gpc_studio.scenes.task import Task

METHODS = ("gpc", "offline")

HELP = {
    "gpc": "Train a policy by generative predictive control: a controller, part of whose samples "
    "the policy draws, plans for many episodes; the policy is fitted to its plans; and again.",
    "offline": "Train a policy on plans of a controller that may take its time: collect episodes "
    "(or take a dataset with --data), then fit once.",
}


@dataclass(frozen=True)
class Asked:
    """What a training was asked for.

    Attributes:
        task: The task, loaded.
        named: Its name or file, as typed.
        method: One of `METHODS`.
        name: Name of the checkpoint.
        flags: All flags by name.
        options: Options of the method.
        weights: Weight of every cost term.
        typed: The command that goes on with it, which is also the one that makes it again.
    """

    task: Task
    named: str
    method: str
    name: str
    flags: dict[str, Any]
    options: Any
    weights: dict[str, float]
    typed: str


@dataclass
class Running:
    """What a training under way needs of the program.

    Attributes:
        asked: What it was asked for.
        folder: Its folder.
        teller: Is told how far it is.
        stopping: Is asked whether to stop.
        began: When this run of it began, `time.perf_counter`.
    """

    asked: Asked
    folder: RunFolder
    teller: Teller
    stopping: Stopping
    began: float

    @property
    def seconds(self) -> float:
        """Time of this run so far, s."""
        return time.perf_counter() - self.began


def command(arguments: Sequence[str]) -> int:
    """Trains, and writes the checkpoint; returns the exit code."""
    began = time.perf_counter()
    asked = read(arguments)

    from gpc_studio.app.environment import run_programs_inline
    from gpc_studio.app.train import methods
    from gpc_studio.app.train.run_folder import RunFolder, only_trainer
    from gpc_studio.models.checkpoint import CheckpointError
    from gpc_studio.models.library import path_for
    from gpc_studio.models.training.dataset import DatasetError
    from gpc_studio.models.training.saved import SavedError

    run_programs_inline()
    try:
        path = path_for(asked.name)
    except CheckpointError as error:
        raise UsageError(str(error)) from None
    folder = RunFolder(path.with_suffix(""))
    json_lines = asked.flags["json_progress"]
    with (
        stopping_on_signals(with_parent=json_lines) as stopping,
        only_trainer(folder.path),
        Teller(json_lines=json_lines) as teller,
    ):
        running = Running(asked, folder, teller, stopping, began)
        try:
            told = methods.train(running, path)
        except Stopped:
            teller.end("stopped", f"stopped: saved, `{asked.typed}` goes on")
            return 130
        except (DatasetError, SavedError, CheckpointError, FloatingPointError) as error:
            if json_lines:
                teller.end("failed", str(error))
            raise UsageError(str(error)) from None
        except UsageError as error:
            if json_lines:
                teller.end("failed", str(error))
            raise
        except OSError as error:
            told = unwritten(error, folder.path)
            if json_lines:
                teller.end("failed", told)
            raise UsageError(told) from None
        teller.end("done", told, checkpoint=asked.name, path=str(path))
    return 0


def read(arguments: Sequence[str]) -> Asked:
    """Reads the command line.

    Raises:
        UsageError: Task, method or a name cannot be used.
        OptionError: An option or a weight is not acceptable.
        SystemExit: A flag is wrong (told by the parser), or help was asked for.
    """
    import tyro

    from gpc_studio.models.training.options import (
        CollectOptions,
        GpcOptions,
        OfflineOptions,
        training_defaults,
    )

    named = first_word(arguments, "train")
    method = _method(arguments)
    task = choose_task(named)
    options = training_defaults(task, method, GpcOptions() if method == "gpc" else OfflineOptions())
    groups: list[Any] = [options]
    if method == "offline":
        groups.append(training_defaults(task, "collect", CollectOptions()))

    def flag(kind: Any, help: str) -> Any:
        return Annotated[kind, tyro.conf.arg(help=help)]

    flags = read_flags(
        arguments,
        program="gpc-studio train",
        help=f"{HELP[method]} The flags below are those of --method {method} and have the "
        f"defaults of task {task.name}.",
        options=groups,
        extra=(
            ("method", flag(str, f"One of {', '.join(METHODS)}; each has its own flags."), method),
            ("name", flag(str, "Name of the checkpoint; by default TASK_METHOD."), ""),
            *shared_flags(),
        ),
    )
    check_seed(flags["seed"])
    if method == "gpc" and flags["data"] is not None:
        raise UsageError("--data: --method gpc collects as it learns; --method offline takes data")
    return Asked(
        task=task,
        named=named,
        method=method,
        name=flags["name"] or default_name(task, method),
        flags=flags,
        options=taken(options, flags),
        weights=cost_weights(task, flags["weight"]),
        typed=to_go_on("train", arguments),
    )


def default_name(task: Task, method: str) -> str:
    """Name of a checkpoint when nobody says."""
    from gpc_studio.models.library import sanitised

    return sanitised(f"{task.name}_{method}")


def gpc_planning(asked: Asked) -> Any:
    """Options of the controller that `--method gpc` learns from.

    Raises:
        UsageError: There is no such rule.
        OptionError: An option is not acceptable.
    """
    from gpc_studio.models.training.gpc import planning_options

    planner_of(asked.task, asked.options.rule)
    planning = planning_options(asked.task, asked.options)
    return updated(planning, planning_changes(planning, asked.flags["set"]))


def run_settings(asked: Asked, more: dict[str, Any]) -> dict[str, Any]:
    """Everything that the result of a training depends on."""
    from gpc_studio.app.evaluate.command import task_digest

    return {
        "task": asked.task.name,
        "task_source": task_digest(asked.task),
        "method": asked.method,
        "options": asdict(asked.options),
        "weights": asked.weights,
        "seed": asked.flags["seed"],
        **more,
    }


def _method(arguments: Sequence[str]) -> str:
    parser = argparse.ArgumentParser("gpc-studio train", add_help=False, allow_abbrev=False)
    parser.add_argument("--method", default=METHODS[0])
    method = parser.parse_known_args(arguments)[0].method
    if method not in METHODS:
        hint = did_you_mean(method, METHODS)
        raise UsageError(f"--method: expected one of {', '.join(METHODS)}, got {method!r}{hint}")
    return method
