"""The commands of the program. Adding one: one line in `COMMANDS`."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gpc_studio.app.errors import UsageError
from gpc_studio.options import OptionError, did_you_mean


@dataclass(frozen=True)
class Command:
    """One command; its module is imported when it is used.

    Attributes:
        name: What people type.
        target: `module:function`; the function takes the remaining arguments and returns the exit
            code. It may raise `UsageError`.
        summary: One line.
    """

    name: str
    target: str
    summary: str

    def load(self) -> Callable[[Sequence[str]], int]:
        """Imports the command."""
        module, function = self.target.split(":")
        return getattr(importlib.import_module(module), function)


COMMANDS = (
    Command(
        "run", "gpc_studio.app.run:command", "control a task live in the browser (the default)"
    ),
    Command("list", "gpc_studio.app.listing:command", "show tasks, controllers and engines"),
    Command(
        "evaluate",
        "gpc_studio.app.evaluate.command:command",
        "measure how often controllers succeed, over many episodes",
    ),
    Command(
        "train",
        "gpc_studio.app.train.command:command",
        "train a policy that proposes plans, from a controller's own plans",
    ),
    Command(
        "collect",
        "gpc_studio.app.train.collect:command",
        "collect plans of a controller that may take its time, for training",
    ),
    Command(
        "reproduce",
        "gpc_studio.app.reproduce.command:command",
        "measure a published table again, beside the paper's figures",
    ),
    Command("bench", "gpc_studio.app.bench:command", "compare planning time with bare rollouts"),
)


def run(arguments: Sequence[str]) -> int:
    """Runs the command that `arguments` name, `run` when they name none; returns the exit code."""
    name, rest = _split(arguments)
    if name in ("-h", "--help"):
        print(_help())
        return 0
    if name == "--version":
        from importlib.metadata import version

        print(f"gpc-studio {version('gpc-studio')}")
        return 0
    known = {command.name: command for command in COMMANDS}
    if name not in known:
        hint = did_you_mean(name, known)
        return _complain(f"no command {name!r}{hint}; there are: {', '.join(known)}")
    try:
        return known[name].load()(rest)
    except (UsageError, OptionError) as error:
        return _complain(str(error))
    except KeyboardInterrupt:
        return 130


def _split(arguments: Sequence[str]) -> tuple[str, Sequence[str]]:
    if not arguments:
        return "run", []
    first = arguments[0]
    if first.startswith("-") and first not in ("-h", "--help", "--version"):
        return "run", arguments
    return first, arguments[1:]


def _complain(message: str) -> int:
    print(f"gpc-studio: {message}", file=sys.stderr)
    return 2


def _help() -> str:
    width = max(len(command.name) for command in COMMANDS)
    lines = [
        "usage: gpc-studio [COMMAND] [OPTIONS]",
        "",
        "See how a predictive controller thinks: live sampling-based control on MuJoCo.",
        "",
        "commands:",
        *(f"  {command.name:{width}}  {command.summary}" for command in COMMANDS),
        "",
        "  gpc-studio COMMAND --help shows the options of a command; those of `run` are the ones",
        "  of the task and the controller that it is given:",
        "  gpc-studio run --task push_t --controller cem --help",
        "  --version shows the version",
    ]
    return "\n".join(lines)
