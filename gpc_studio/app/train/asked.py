"""What was asked for on the command line of `train` and `collect`, checked."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from gpc_studio.app.arguments import flags_type, parse_text, settings, weight_options
from gpc_studio.app.errors import UsageError
from gpc_studio.options import Option, OptionError, describe, did_you_mean, updated

if TYPE_CHECKING:
    from gpc_studio.controllers.options import PlanningOptions
    from gpc_studio.scenes.task import Task

T = TypeVar("T")

Extra = tuple[str, Any, Any]
"""A flag that is no option of the training: name, annotation, default."""


def shared_flags() -> tuple[Extra, ...]:
    """Flags of both commands."""
    import tyro

    def flag(kind: Any, help: str) -> Any:
        return Annotated[kind, tyro.conf.arg(help=help)]

    append = tyro.conf.UseAppendAction[tuple[str, ...]]
    return (
        ("seed", flag(int, "Seed of everything; the same seed gives the same bits."), 0),
        (
            "set",
            flag(append, "An option of the planning controller, as in `--set horizon=2`."),
            (),
        ),
        ("weight", flag(append, "Weight of a cost term, as in `--weight upright=2`."), ()),
        ("data", flag(Path | None, "Folder of the dataset."), None),
        ("fresh", flag(bool, "Begin again, and drop what there is."), False),
        ("json_progress", flag(bool, "Tell progress as JSON lines, for other programs."), False),
    )


def read_flags(
    arguments: Sequence[str],
    *,
    program: str,
    help: str,
    options: Sequence[Any],
    extra: Sequence[Extra],
) -> dict[str, Any]:
    """All flags by name.

    Args:
        arguments: What was typed.
        program: The command.
        help: What it does.
        options: Options dataclasses with the defaults; where two have a flag of one name, the
            first counts.
        extra: Further flags; the task comes first and is positional.
    """  # fmt: skip
    import tyro

    described: dict[str, Option] = {}
    values: dict[str, Any] = {}
    for group in options:
        for name, option in describe(type(group)).items():
            if name not in described:
                described[name], values[name] = option, getattr(group, name)
    task = (
        "task",
        Annotated[
            tyro.conf.Positional[str],
            tyro.conf.arg(help="Name of a task, or a file with a task of your own."),
        ],
        tyro.MISSING,
    )
    flags = flags_type("Flags", described.values(), values, help, (task, *extra))
    return vars(tyro.cli(flags, args=list(arguments), prog=program))


def taken(options: T, flags: Mapping[str, Any]) -> T:
    """The options with the values of their flags.

    Raises:
        OptionError: A value is out of range.
    """
    known = describe(type(options))
    return updated(options, {name: flags[name] for name in known if name in flags})


def planning_changes(options: PlanningOptions, texts: Sequence[str]) -> dict[str, Any]:
    """What `--set` changes about the controller that plans.

    Raises:
        OptionError: There is no such option, or the value is not acceptable.
    """
    known = describe(type(options))
    changes = {}
    for name, text in settings(texts, "--set").items():
        if name not in known:
            raise OptionError(
                name, f"an option of the planning controller{did_you_mean(name, known)}", text
            )
        changes[name] = parse_text(known[name], text)
    return changes


def cost_weights(task: Task, texts: Sequence[str]) -> dict[str, float]:
    """Weights of all cost terms, with what `--weight` changes.

    Raises:
        OptionError: There is no such term, or the value is not acceptable.
    """
    known = weight_options(task.weights)
    weights = task.default_weights()
    for name, text in settings(texts, "--weight").items():
        if name not in known:
            raise OptionError(name, f"a cost term of {task.name}{did_you_mean(name, known)}", text)
        weights[name] = parse_text(known[name], text)
    return weights


def planner_of(task: Task, name: str) -> PlanningOptions:
    """Default options of a controller that plans without a policy.

    Raises:
        UsageError: There is none of that name.
    """
    from gpc_studio.controllers.registry import controller_names, default_options

    known = controller_names()
    if name not in known:
        raise UsageError(
            f"no controller {name!r}{did_you_mean(name, known)} to learn from; "
            f"there are: {', '.join(known)}"
        )
    return default_options(task, name)


def to_go_on(command: str, arguments: Sequence[str]) -> str:
    """The command as typed but for flags that must not be repeated to go on, or that say nothing.

    Typed again, `--fresh` would drop what was saved.
    """
    repeated = [word for word in arguments if word not in ("--fresh", "--json-progress")]
    return shlex.join(["gpc-studio", command, *repeated])


def unwritten(error: OSError, folder: Path) -> str:
    """What to say when a file cannot be read or written, as on a full disk."""
    reason = error.strerror or str(error)
    return f"{error.filename or folder}: {reason}; the same command goes on from what is saved"


def check_seed(seed: int) -> None:
    """Raises `UsageError` for a negative seed."""
    if seed < 0:
        raise UsageError(f"--seed: expected a whole number of at least 0, got {seed}")
