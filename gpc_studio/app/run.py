"""`gpc-studio run`: a task, a controller, and a page to watch and steer them."""

from __future__ import annotations

import argparse
import contextlib
import re
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from gpc_studio.app.arguments import flags_type, weight_options
from gpc_studio.app.choice import choose_controller, choose_task, choose_task_file
from gpc_studio.app.errors import UsageError
from gpc_studio.options import OptionError, describe, did_you_mean, option, updated

if TYPE_CHECKING:
    from gpc_studio.app.session import Session, SessionOptions
    from gpc_studio.scenes.loader import TaskFile
    from gpc_studio.scenes.task import Task

_MAPPINGS = ("options", "weights")
"""Keys of a configuration file under which there are names and values."""


@dataclass(frozen=True)
class RunOptions:
    """How the program runs; the options of session, task and controller come on top."""

    task: str = option("pendulum", help="Name of a task, or a file with a task of your own.")
    controller: str = option("mppi", help="Name of a controller; `gpc-studio list` shows them.")
    paused: bool = option(False, help="Start paused.")
    host: str = option(
        "127.0.0.1", help="Address to serve at; any other than this machine needs a token."
    )
    token: str = option(
        "",
        help="Secret that the URL must carry, at least 16 letters, digits or - . _ ~; empty makes"
        " one where one is needed. Other users of this machine can read its command lines: a"
        " configuration file tells less.",
    )
    port: int = option(8080, min=0, max=65535, help="Port to serve at; 0 takes a free one.")
    open: bool = option(True, help="Open the page in a browser when there is a display.")
    headless: bool = option(
        False,
        help="No page: print one line of status every second; lock-step goes as fast as it can.",
    )
    seconds: float = option(
        0.0, min=0.0, unit="s", help="Stop after this much simulated time; 0 goes on."
    )


@dataclass(frozen=True)
class RunSettings:
    """Everything that one run needs.

    Attributes:
        run: How the program runs.
        session: How the session runs.
        task: The task, loaded.
        options: Values of the controller's options by name.
        weights: Values of the cost weights by name.
        file: The file that `task` was loaded from; None for a built-in task.
        broken: Why the task's file cannot be loaded, or "". Then `task` stands in for it.
    """

    run: RunOptions
    session: SessionOptions
    task: Task
    options: Mapping[str, Any]
    weights: Mapping[str, float]
    file: TaskFile | None = None
    broken: str = ""


def command(arguments: Sequence[str]) -> int:
    """Runs until Ctrl+C, a termination signal, or the end of `--seconds`; returns the exit code."""
    if "--headless" not in arguments:
        # Reading the flags needs JAX; most of the server is imported beside it.
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
    found = _first_pass(arguments)
    config = read_config(Path(found.config)) if found.config else {}
    try:
        return _second_pass(arguments, found, config)
    except OptionError as error:
        place = f"{found.config}: " if found.config else ""
        raise UsageError(f"{place}{error}") from None


def new_session(settings: RunSettings) -> Session:
    """The session that `settings` describe, not yet started.

    Raises:
        OptionError: Values do not go together.
    """
    from gpc_studio.app.session import Session

    run = settings.run
    session = Session(
        # A session that is given the file loads it again whenever it is saved.
        settings.file or settings.task,
        run.controller,
        options=settings.options,
        weights=settings.weights,
        paused=run.paused,
        **vars(settings.session),
    )
    if settings.broken:
        # It tells the mistake in the page, and tries again when the file is saved.
        session.set_task(run.task)
        defaults = vars(choose_controller(settings.task, run.controller))
        asked = {k: v for k, v in settings.options.items() if v != defaults[k]}
        if asked:
            session.set_options(asked)
    return session


def read_config(path: Path) -> dict[str, Any]:
    """A configuration file: the flags of `run`, and the mappings `options` and `weights`.

    Raises:
        UsageError: The file cannot be read, is not a mapping, or has an unknown key.
    """
    import yaml

    from gpc_studio.app.session import SessionOptions

    try:
        config = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except OSError as error:
        raise UsageError(f"--config {path}: {error.strerror or error}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageError(f"--config {path}: not YAML: {error}") from None
    if not isinstance(config, dict):
        raise UsageError(f"--config {path}: expected keys and values, got {config!r:.60}")
    known = [*describe(RunOptions), *describe(SessionOptions), *_MAPPINGS]
    for key in config:
        if key not in known:
            hint = did_you_mean(str(key), known)
            raise UsageError(f"--config {path}: unknown key {key!r}{hint}; known: {known}")
    for key in _MAPPINGS:
        if not isinstance(config.get(key, {}), dict):
            raise UsageError(f"--config {path}: {key}: expected names and values")
    return config


def _first_pass(arguments: Sequence[str]) -> argparse.Namespace:
    """Finds what decides which other flags there are."""
    parser = argparse.ArgumentParser("gpc-studio run", add_help=False, allow_abbrev=False)
    for name in ("--task", "--controller", "--config", "--checkpoint"):
        parser.add_argument(name)
    return parser.parse_known_args(arguments)[0]


def _second_pass(
    arguments: Sequence[str], found: argparse.Namespace, config: Mapping[str, Any]
) -> RunSettings:
    import tyro

    from gpc_studio.app.planners import CHECKPOINT, uses_policy, with_policys_plans
    from gpc_studio.app.session import SessionOptions
    from gpc_studio.app.session.checks import check_weights

    plain = {key: value for key, value in config.items() if key not in _MAPPINGS}
    run = updated(RunOptions(), _only(plain, RunOptions))
    session = updated(SessionOptions(), _only(plain, SessionOptions))
    task, file, broken = _load(found.task or run.task)
    name = found.controller or run.controller
    options = choose_controller(task, name)
    chosen = config.get("options", {})
    if found.checkpoint is not None and uses_policy(options):
        chosen = {**chosen, CHECKPOINT: found.checkpoint}
    options = updated(options, with_policys_plans(task, options, chosen))
    changes = {} if broken else config.get("weights", {})
    weights = task.default_weights() | check_weights(task, changes)

    weight_flags = weight_options(task.weights)
    weights_type = flags_type("Weights", weight_flags.values(), weights)
    weights_flag = ("weights", weights_type, weights_type(**weights))
    config_flag = Annotated[
        str, tyro.conf.arg(help="YAML file with these flags as keys; flags win over it.")
    ]
    flags = flags_type(
        "Run",
        [option for group in (run, session, options) for option in describe(type(group)).values()],
        {**vars(run), **vars(session), **vars(options)},
        help=f"Control a task live. The flags below are those of task {task.name} and controller"
        f" {name}; other choices have other flags.",
        extra=(("config", config_flag, found.config or ""), weights_flag),
    )
    try:
        given = vars(tyro.cli(flags, args=list(arguments), prog="gpc-studio run"))
    except SystemExit:
        if broken:  # a flag may be unknown for this reason alone
            print(f"gpc-studio: {broken}", file=sys.stderr)
        raise
    run = updated(run, _only(given, RunOptions))
    _check_token(run.token)
    if broken and run.headless:
        raise UsageError(broken)
    return RunSettings(
        run=run,
        session=updated(session, _only(given, SessionOptions)),
        task=task,
        options=_only(given, type(options)),
        weights=vars(given["weights"]),
        file=file,
        broken=broken,
    )


def _load(name: str) -> tuple[Task, TaskFile | None, str]:
    """The task called `name` and its file; of a broken file, a stand-in, None, and the mistake."""
    from gpc_studio.scenes.registry import is_task_path

    if not is_task_path(name):
        return choose_task(name), None, ""
    try:
        file = choose_task_file(name)
    except UsageError as error:
        if Path(name).is_file():
            return choose_task(RunOptions().task), None, str(error)
        raise
    assert file.task is not None
    return file.task, file, ""


def _check_token(token: str) -> None:
    """Refuses a token that can be guessed, or that a URL cannot carry as it is."""
    if token and not re.fullmatch(r"[A-Za-z0-9._~-]{16,}", token):
        raise UsageError(
            "--token: expected at least 16 letters, digits or - . _ ~ and nothing else, got"
            f" {len(token)} characters; leave it out and one is made"
        )


def _only(values: Mapping[str, Any], options_type: type) -> dict[str, Any]:
    """Those of `values` that are options of a type."""
    return {name: values[name] for name in describe(options_type) if name in values}


def _import_quietly(module: str) -> None:
    """Imports ahead of need; whoever needs the module reports what is wrong with it."""
    with contextlib.suppress(ImportError):
        __import__(module)
