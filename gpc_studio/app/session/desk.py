"""What the user asked for. Every change is checked here, in the thread of whoever asks."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gpc_studio.app.planners import default_options, with_policys_plans
from gpc_studio.app.session.checks import (
    check_controller,
    check_dynamic,
    check_names,
    check_size,
    check_weights,
)
from gpc_studio.app.session.pilot import Pilot
from gpc_studio.controllers.options import PlanningOptions
from gpc_studio.options import describe, option, updated

if TYPE_CHECKING:
    from gpc_studio.scenes.task import Task

MODES = ("real-time", "lock-step")


@dataclass(frozen=True)
class SessionOptions:
    """How a session runs, whatever the task."""

    speed: float = option(
        1.0, min=0.1, max=4.0, step=0.1, group="Session",
        help="Simulated seconds per second on the clock.",
    )  # fmt: skip
    mode: str = option(
        "real-time", choices=MODES, group="Session",
        help="Plan while the world runs, or let the world wait for every plan.",
    )  # fmt: skip
    seed: int = option(
        0, min=0, max=2**31 - 1, step=1, group="Session",
        help="Seed of the start state and of all noise.",
    )  # fmt: skip


@dataclass(frozen=True)
class Request:
    """The controller that is wanted.

    Attributes:
        number: Counts up with every change that needs a newly compiled planner.
        source: Name or file of the task, or the task itself.
        task: The task, or None until it is loaded.
        controller: Name of the controller.
        options: Its options; of the task before, while the task is not loaded.
        overrides: Options asked for since the task was, to go on top of its defaults.
        reload: Whether the task is the one before from a file that was saved again.
    """

    number: int
    source: str | Path | Task
    task: Task | None
    controller: str
    options: PlanningOptions
    overrides: Mapping[str, object] = field(default_factory=dict)
    reload: bool = False

    @property
    def title(self) -> str:
        """Name of the task for people."""
        return self.task.title if self.task is not None else str(self.source)


class Desk:
    """The wishes of the user, one small lock, everything in it immutable and replaced whole.

    Attributes:
        request: The controller wanted.
        weights: Cost weights of the task in charge, by name.
        session: Mode, speed and seed.
        pilot: The pilot in charge, or None.
        task: The task in charge.
        preparing: What is being compiled, or "".
        choices: Choices of the options of which they are known only now, by name.
    """

    def __init__(
        self,
        *,
        source: str | Path | Task,
        task: Task,
        controller: str,
        options: Mapping[str, object],
        weights: Mapping[str, object],
        session: SessionOptions,
    ) -> None:
        """Takes the first wishes.

        Raises:
            OptionError: A value is not acceptable.
        """
        self._lock = threading.Lock()
        check_controller(controller)
        defaults = default_options(task, controller)
        chosen = updated(defaults, with_policys_plans(task, defaults, options))
        check_size(task, chosen)
        self.task = task
        self.request = Request(1, source, task, controller, chosen)
        self.weights: Mapping[str, float] = {
            **task.default_weights(),
            **check_weights(task, weights),
        }
        self.session = session
        self.pilot: Pilot | None = None
        self.preparing = ""
        self.choices: Mapping[str, tuple[str, ...]] = {}
        self._source = source
        self._in_force = chosen
        self._failed = 0

    # Wishes.

    def want_task(self, source: str | Path, reload: bool = False) -> None:
        """Another task, with its defaults for the controller wanted now."""
        with self._lock:
            request = self.request
            self._replace(
                number=request.number + 1, source=source, task=None, overrides={}, reload=reload
            )

    def want_controller(self, name: str) -> None:
        """Another controller, with the task's defaults for it.

        Raises:
            OptionError: There is no such controller, or the task's defaults for it are wrong.
        """
        check_controller(name)
        with self._lock:
            request = self.request
            if name == request.controller and not self._has_failed():
                return
            options = default_options(request.task or self.task, name)
            self._replace(number=request.number + 1, controller=name, options=options, overrides={})

    def want_options(self, changes: Mapping[str, object]) -> None:
        """Other options of the controller wanted.

        Raises:
            OptionError: A value is not acceptable; nothing is changed then.
        """
        changes = check_names(changes, "options")
        with self._lock:
            request = self.request
            options = updated(request.options, changes)
            again = bool(changes.keys() & request.overrides.keys())
            if options == request.options and not again and not self._has_failed():
                return
            if request.task is None:
                # Names are checked when the task is there, against those that were accepted.
                known = describe(type(options))
                named = {k: v for k, v in changes.items() if not known[k].dynamic}
                options = updated(request.options, named)
            else:
                check_dynamic(request.task, request.options, changes)
                changes = with_policys_plans(request.task, request.options, changes)
                options = updated(request.options, changes)
            check_size(request.task or self.task, options)
            before, after = (static_values(o) for o in (request.options, options))
            newly = before != after or self._has_failed()
            overrides = {} if request.task else {**request.overrides, **changes}
            self._replace(number=request.number + newly, options=options, overrides=overrides)
            self._put_in_force()

    def want_weights(self, changes: Mapping[str, object]) -> None:
        """Other weights for the task in charge.

        Raises:
            OptionError: A value is not acceptable; nothing is changed then.
        """
        changes = check_names(changes, "weights")
        with self._lock:
            checked = check_weights(self.task, changes)
            self.weights = {**self.weights, **checked}

    def want_session(self, **changes: object) -> None:
        """Other mode, speed or seed.

        Raises:
            OptionError: A value is not acceptable; nothing is changed then.
        """
        with self._lock:
            self.session = updated(self.session, changes)

    def retry(self) -> None:
        """Tries again what could not be prepared."""
        with self._lock:
            if self._has_failed():
                self._replace(number=self.request.number + 1)

    # What became of them.

    def missing(self) -> Request | None:
        """The request that needs a planner that is not there, unless it failed before."""
        with self._lock:
            if self._has_failed() or self._satisfied():
                return None
            return self.request

    def satisfied(self) -> bool:
        """Whether the pilot in charge is the one wanted."""
        with self._lock:
            return self._satisfied()

    def options_for(self, pilot: Pilot) -> PlanningOptions:
        """The newest options that `pilot` can plan with.

        While others of its options need compiling, those that do not are taken over already.
        """
        with self._lock:
            return self._in_force if pilot is self.pilot else pilot.options

    def loaded(self, number: int, task: Task) -> Request | None:
        """Fills the task of request `number` in; None when another one is wanted by now.

        Raises:
            OptionError: The defaults of the task, or the options asked for on top, are wrong.
        """
        with self._lock:
            request = self.request
            if request.number != number:
                return None
            defaults = default_options(task, request.controller)
            same = request.reload and task.defaults == self.task.defaults
            before = request.options if same else defaults
            check_dynamic(task, before, request.overrides)
            options = updated(before, with_policys_plans(task, before, request.overrides))
            check_size(task, options)
            self._replace(task=task, options=options, overrides={})
            return self.request

    def take_charge(self, pilot: Pilot, reload: bool = False) -> None:
        """`pilot` is in charge from now on; a new task starts with its own weights.

        After a reload, weights that were moved stay where their terms still exist.
        """
        with self._lock:
            if pilot.task is not self.task:
                before = self.task.weights
                weights = pilot.task.default_weights()
                for name, value in self.weights.items() if reload else ():
                    weight = pilot.task.weights.get(name)
                    moved = name in before and value != before[name].default
                    if weight is not None and moved and weight.min <= value <= weight.max:
                        weights[name] = value
                self.task, self.weights = pilot.task, weights
            self.pilot = pilot
            self._source = self.request.source
            self._in_force = pilot.options
            self._put_in_force()

    def fail(self, number: int) -> bool:
        """Request `number` cannot be had: what is in charge is wanted again.

        Returns:
            Whether it was still wanted.
        """
        with self._lock:
            if self.request.number != number:
                return False
            pilot = self.pilot
            if pilot is None:
                self._failed = number
            else:
                self._replace(
                    number=number + 1, source=self._source, task=pilot.task, overrides={},
                    controller=pilot.controller, options=self._in_force, reload=False,
                )  # fmt: skip
            return True

    def _put_in_force(self) -> None:
        """Lets the pilot in charge plan with the newest options, as far as it can."""
        pilot, request = self.pilot, self.request
        if pilot is None or request.task is not pilot.task:
            return
        if request.controller != pilot.controller:
            return
        if pilot.planner.accepts(request.options):
            self._in_force = request.options
            return
        described = describe(type(request.options))
        moved = {n: getattr(request.options, n) for n, o in described.items() if not o.static}
        self._in_force = dataclasses.replace(self._in_force, **moved)

    def _replace(self, **changes: Any) -> None:
        self.request = dataclasses.replace(self.request, **changes)

    def _has_failed(self) -> bool:
        return self._failed == self.request.number

    def _satisfied(self) -> bool:
        pilot, request = self.pilot, self.request
        return (
            pilot is not None
            and pilot.task is request.task
            and pilot.controller == request.controller
            and pilot.planner.accepts(request.options)
        )


def static_values(options: PlanningOptions) -> list[object]:
    """The kind of options and the values that only another planner can take."""
    described = describe(type(options))
    return [type(options), *(getattr(options, n) for n, o in described.items() if o.static)]
