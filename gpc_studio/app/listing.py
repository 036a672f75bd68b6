"""`gpc-studio list`: what there is to run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

ENGINES = {
    "native": "MuJoCo's C engine on all cores; runs every task",
    "analytic": "the task's own equations of motion, compiled by JAX; many times faster",
}


@dataclass(frozen=True)
class ListOptions:
    """Show tasks, controllers and engines, one line each."""


def command(arguments: Sequence[str]) -> int:
    """Prints the tables; returns the exit code."""
    import tyro

    tyro.cli(ListOptions, args=list(arguments), prog="gpc-studio list")

    from rich.console import Console
    from rich.text import Text

    from gpc_studio.app.planners import controllers
    from gpc_studio.scenes.registry import task_class, task_names

    tasks = {name: task_class(name).summary for name in task_names()}
    rules = {name: spec.summary for name, spec in controllers().items()}
    console = Console(highlight=False)
    for title, lines in (("Tasks", tasks), ("Controllers", rules), ("Engines", ENGINES)):
        console.print(Text(title, "bold"))
        for name, summary in lines.items():
            line = Text.assemble("  ", (f"{name:20}", "cyan"), " ", summary)
            console.print(line, soft_wrap=True)
    return 0
