"""Which engine rolls out."""

from __future__ import annotations

from gpc_studio.controllers import domains
from gpc_studio.controllers.engines.analytic import AnalyticEngine
from gpc_studio.controllers.engines.base import Engine
from gpc_studio.controllers.engines.native import NativeEngine
from gpc_studio.controllers.options import PlanningOptions
from gpc_studio.scenes.task import Task


def make_engine(
    task: Task, options: PlanningOptions, *, episodes: int, steps: int, threads: int, seed: int
) -> Engine:
    """The engine that the options ask for.

    Args:
        task: What to roll out.
        options: Say engine, samples and domains.
        episodes: Episodes in lock-step, E.
        steps: Steps of a rollout, T.
        threads: Threads of the native engine; 0: as many as cores.
        seed: Seed of the perturbed domains.

    Raises:
        ValueError: "analytic" for a task without dynamics.
    """
    models = domains.draw(task, options.domains, seed)
    if resolve_engine(task, options.engine) == "analytic":
        dynamics = task.dynamics()
        assert dynamics is not None
        return AnalyticEngine(dynamics, models)
    return NativeEngine(models, episodes, options.samples, steps, threads)


def resolve_engine(task: Task, engine: str) -> str:
    """The engine that "auto" stands for on a task: its own dynamics if it has them.

    Raises:
        ValueError: "analytic" for a task without dynamics.
    """
    has_dynamics = task.dynamics() is not None
    if engine == "analytic" and not has_dynamics:
        raise ValueError(f"task {task.name} has no analytic dynamics: choose engine auto or native")
    if engine == "auto":
        return "analytic" if has_dynamics else "native"
    return engine
