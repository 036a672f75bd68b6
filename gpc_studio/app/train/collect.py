"""`gpc-studio collect`: episodes of a controller that may take its time, kept as a dataset."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
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
from gpc_studio.app.train.stopping import Stopped, Stopping, stopping_on_signals
from gpc_studio.app.train.telling import Teller

if TYPE_CHECKING:
    from gpc_studio.app.train.gathering import Gathering
    from gpc_studio.models.training.options import CollectOptions
    from gpc_studio.scenes.task import Task

HELP = (
    "Collect what a policy learns from: plans of a controller that may take its time. Only "
    "episodes that reach the goal give plans. The same command goes on where it was interrupted; "
    "more episodes are added to what is there. The flags below have the defaults of task {task}."
)


def command(arguments: Sequence[str]) -> int:
    """Collects, or shows what was collected; returns the exit code."""
    import tyro

    from gpc_studio.models.training.options import CollectOptions, training_defaults

    task = choose_task(first_word(arguments, "collect"))
    options = training_defaults(task, "collect", CollectOptions())
    show = Annotated[bool, tyro.conf.arg(help="Show what the dataset holds, and collect nothing.")]
    flags = read_flags(
        arguments,
        program="gpc-studio collect",
        help=HELP.format(task=task.name),
        options=(options,),
        extra=(("show", show, False), *shared_flags()),
    )
    folder = flags["data"] or default_folder(task)
    if flags["show"]:
        return _show(folder)

    from gpc_studio.app.train.run_folder import only_trainer
    from gpc_studio.models.training.dataset import DatasetError

    wanted = gathering(flags["task"], task, taken(options, flags), flags)
    with (
        stopping_on_signals(with_parent=flags["json_progress"]) as stopping,
        only_trainer(folder),
        Teller(json_lines=flags["json_progress"]) as teller,
    ):
        try:
            collect(wanted, folder, teller, stopping, fresh=flags["fresh"])
        except Stopped:
            again = to_go_on("collect", arguments)
            teller.end("stopped", f"stopped: finished episodes are kept, `{again}` goes on")
            return 130
        except DatasetError as error:
            raise UsageError(str(error)) from None
        except OSError as error:
            raise UsageError(unwritten(error, folder)) from None
        teller.end("done", f"collected in {folder}", data=str(folder))
    return 0 if flags["json_progress"] else _show(folder)


def collect(
    wanted: Gathering, folder: Path, teller: Teller, stopping: Stopping, *, fresh: bool
) -> None:
    """Runs the episodes that the folder lacks.

    Raises:
        DatasetError: The folder holds something else.
        Stopped: It was asked to stop; finished episodes are written.
    """
    from gpc_studio.app.train.gathering import gather
    from gpc_studio.models.training.dataset import Dataset

    if fresh:
        Dataset.clear(folder)
    dataset = Dataset.begin(folder, dataset_settings(wanted))

    def tick(fraction: float, ended: int, won: int) -> None:
        rate = f", success {100 * won / ended:.0f} %" if ended else ""
        teller.progress("collect", fraction, f"{ended}/{wanted.episodes} episodes{rate}")
        stopping.check()

    gather(wanted, dataset, tick)


def gathering(named: str, task: Task, options: CollectOptions, flags: dict[str, Any]) -> Gathering:
    """What `collect` was asked for.

    Raises:
        UsageError: There is no such controller, or the seed is negative.
        OptionError: An option or a weight is not acceptable.
    """
    from gpc_studio.app.train.gathering import Gathering
    from gpc_studio.options import describe, updated

    check_seed(flags["seed"])
    planning = planner_of(task, options.controller)
    own = {"samples": options.samples, "iterations": options.iterations}
    known = describe(type(planning))
    planning = updated(planning, {name: value for name, value in own.items() if name in known})
    planning = updated(planning, planning_changes(planning, flags["set"]))
    return Gathering(
        named=named,
        task=task,
        controller=options.controller,
        options=planning,
        weights=cost_weights(task, flags["weight"]),
        episodes=options.episodes,
        seed=flags["seed"],
        batch=options.batch,
    )


def dataset_settings(wanted: Gathering) -> dict[str, Any]:
    """Everything that the episodes of a dataset depend on; not how many there are."""
    from gpc_studio.app.evaluate.command import task_digest

    return {
        "task": wanted.task.name,
        "task_source": task_digest(wanted.task),
        "controller": wanted.controller,
        "planning": asdict(wanted.options),
        "weights": dict(wanted.weights),
        "seed": wanted.seed,
        "batch": wanted.batch,
    }


def default_folder(task: Task) -> Path:
    """Where a task's dataset lies when nobody says."""
    from gpc_studio.files import data_dir
    from gpc_studio.models.library import sanitised

    return data_dir() / "datasets" / sanitised(task.name)


def first_word(arguments: Sequence[str], name: str) -> str:
    """The task that was named, before anything else is known.

    Raises:
        UsageError: There is none.
    """
    if not arguments or arguments[0].startswith("-"):
        if {"-h", "--help"} & set(arguments):
            return "pendulum"
        raise UsageError(f"expected a task first, as in `gpc-studio {name} pendulum`")
    return arguments[0]


def _show(folder: Path) -> int:
    from rich.console import Console

    from gpc_studio.app.train.show import dataset_summary
    from gpc_studio.models.training.dataset import Dataset, DatasetError

    try:
        Console(highlight=False).print(dataset_summary(Dataset(folder)))
    except DatasetError as error:
        raise UsageError(str(error)) from None
    return 0
