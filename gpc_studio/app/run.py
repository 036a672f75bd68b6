"""`gpc-studio run`: a task, a controller, and a page to watch and steer them."""

from __future__ import annotations

import argparse
import contextlib
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gpc_studio.app.arguments import flags_type, weight_options
from gpc_studio.app.errors import UsageError, did_you_mean
from gpc_studio.options import Option, OptionError, describe, option

if TYPE_CHECKING:
    from gpc_studio.app.session import Session
    from gpc_studio.scenes.task import Task


@dataclass(frozen=True)
class RunOptions:
    """How the program runs; the options of task and controller come on top."""

    task: str = option("pendulum", help="Name of a task, or a file with a task of your own.")
    controller: str = option("mppi", help="Name of a controller; `gpc-studio list` shows them.")
    seed: int = option(0, min=0, max=2**31 - 1, help="Seed of the start state and of all noise.")
    mode: str = option(
        "real-time", choices=("real-time", "lock-step"),
        help="Plan while the world runs, or let the world wait for every plan.",
    )  # fmt: skip
    speed: float = option(1.0, min=0.1, max=4.0, help="Simulated seconds per second.")
    paused: bool = option(False, help="Start paused.")
    host: str = option(
        "127.0.0.1", help="Address to serve at; any other than this machine needs a token."
    )
    port: int = option(8080, min=0, max=65535, help="Port to serve at; 0 takes a free one.")
    open: bool = option(True, help="Open the page in a browser when there is a display.")
    headless: bool = option(False, help="No page: print one line of status every second.")
    seconds: float = option(
        0.0, min=0.0, unit="s", help="Stop after this much simulated time; 0 goes on."
    )


@dataclass(frozen=True)
class RunSettings:
    """Everything that one run needs.

    Attributes:
        run: How the program runs.
        task: The task, loaded.
        options: Values of the controller's options by name.
        weights: Values of the cost weights by name.
    """

    run: RunOptions
    task: Task
    options: Mapping[str, Any]
    weights: Mapping[str, float]


def command(arguments: Sequence[str]) -> int:
    """Runs until Ctrl+C, a termination signal, or the end of `--seconds`; returns the exit code."""
    # The server takes longest to import beside JAX, which reading the flags needs anyway.
    if "--headless" not in arguments:
        threading.Thread(target=_import_quietly, args=("viser",), daemon=True).start()
    settings = read_settings(arguments)

    from gpc_studio.app.running import run_headless, run_with_page

    return (run_headless if settings.run.headless else run_with_page)(settings)


def read_settings(arguments: Sequence[str]) -> RunSettings:
    """Reads command line and configuration file; flags win over the file.

    Raises:
        UsageError: Task, controller, file or a value in the file cannot be used.
        SystemExit: A flag is wrong (told by the parser), or help was asked for.
    """
    import tyro

    found = _first_pass(arguments)
    config = read_config(Path(found.config)) if found.config else {}
    try:
        return _second_pass(tyro.cli, arguments, found, config)
    except OptionError as error:
        place = f"{found.config}: " if found.config else ""
        raise UsageError(f"{place}{error}") from None


def new_session(settings: RunSettings) -> Session:
    """The session that `settings` describe, not yet started."""
    from gpc_studio.app.session import Session
    from gpc_studio.scenes.registry import is_task_path

    run = settings.run
    return Session(
        # A session that is given the file loads it again whenever it is saved.
        run.task if is_task_path(run.task) else settings.task,
        run.controller,
        seed=run.seed,
        mode=run.mode,
        options=settings.options,
        weights=settings.weights,
        speed=run.speed,
        paused=run.paused,
    )


def read_config(path: Path) -> dict[str, Any]:
    """A configuration file: the flags of `run`, and the mappings `options` and `weights`.

    Raises:
        UsageError: The file cannot be read, is not a mapping, or has an unknown key.
    """
    import yaml

    try:
        config = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except OSError as error:
        raise UsageError(f"--config {path}: {error.strerror or error}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageError(f"--config {path}: not YAML: {error}") from None
    if not isinstance(config, dict):
        raise UsageError(f"--config {path}: expected keys and values, got {config!r:.60}")
    known = [*describe(RunOptions), "options", "weights"]
    for key in config:
        if key not in known:
            hint = did_you_mean(str(key), known)
            raise UsageError(f"--config {path}: unknown key {key!r}{hint}; known: {known}")
    for key in ("options", "weights"):
        if not isinstance(config.get(key, {}), dict):
            raise UsageError(f"--config {path}: {key}: expected names and values")
    return config


def _first_pass(arguments: Sequence[str]) -> argparse.Namespace:
    """Finds what decides which other flags there are."""
    parser = argparse.ArgumentParser("gpc-studio run", add_help=False, allow_abbrev=False)
    for name in ("--task", "--controller", "--config"):
        parser.add_argument(name)
    return parser.parse_known_args(arguments)[0]


def _second_pass(
    parse: Any, arguments: Sequence[str], found: argparse.Namespace, config: Mapping[str, Any]
) -> RunSettings:
    from gpc_studio.app.choice import choose_controller, choose_task
    from gpc_studio.options import updated

    run = updated(
        RunOptions(), {k: v for k, v in config.items() if k not in ("options", "weights")}
    )
    task = choose_task(found.task or run.task)
    name = found.controller or run.controller
    options = updated(choose_controller(task, name), config.get("options", {}))
    weights = _checked_weights(task, config.get("weights", {}))

    weight_flags = weight_options(task.weights)
    weights_type = flags_type("Weights", weight_flags.values(), weights)
    weights_flag = ("weights", weights_type, weights_type(**weights))
    described = describe(type(options))
    flags = flags_type(
        "Run",
        [*describe(RunOptions).values(), *described.values()],
        {**vars(run), **vars(options)},
        help=f"Control a task live. The flags below are those of task {task.name} and controller"
        f" {name}; other choices have other flags.",
        extra=(("config", str, found.config or ""), weights_flag),
    )
    given = vars(parse(flags, args=list(arguments), prog="gpc-studio run"))
    return RunSettings(
        run=updated(RunOptions(), {key: given[key] for key in describe(RunOptions)}),
        task=task,
        options={key: given[key] for key in described},
        weights=vars(given["weights"]),
    )


def _checked_weights(task: Task, changes: Mapping[str, object]) -> dict[str, float]:
    known: dict[str, Option] = weight_options(task.weights)
    weights = task.default_weights()
    for name, value in changes.items():
        if name not in known:
            hint = did_you_mean(str(name), known)
            raise OptionError(f"weights.{name}", f"a cost term of {task.name}{hint}", value)
        weights[name] = known[name].check(value)
    return weights


def _import_quietly(module: str) -> None:
    """Imports ahead of need; whoever needs the module reports what is wrong with it."""
    with contextlib.suppress(ImportError):
        __import__(module)
