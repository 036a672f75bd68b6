"""The preparation thread: loads tasks and compiles planners while the old ones go on."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from gpc_studio.app import planners
from gpc_studio.app.defaults import check_defaults
from gpc_studio.app.errors import UsageError
from gpc_studio.app.session.desk import Desk, Request
from gpc_studio.app.session.messages import MessageBoard, explain
from gpc_studio.app.session.pilot import MakePlanner, Pilot, PlannerLike
from gpc_studio.app.session.plant import Plant
from gpc_studio.controllers.options import PlanningOptions
from gpc_studio.scenes.errors import TaskError
from gpc_studio.scenes.loader import TaskFile
from gpc_studio.scenes.registry import is_task_path, load_task
from gpc_studio.scenes.state import State
from gpc_studio.scenes.task import Task

POLL_SECONDS = 0.5  # how often a task file, or the folder of policies, is looked at
SETTLE_SECONDS = 0.08  # a slider at rest for so long has arrived
SETTLE_MOST = 0.4


@dataclass(frozen=True)
class Prepared:
    """What can take over.

    Attributes:
        request: What it was made for.
        pilot: The compiled planner.
        plant: The world of a new task, reset; None when the world stays.
        seed: Seed that `plant` was reset with.
    """

    request: Request
    pilot: Pilot
    plant: Plant | None
    seed: int


class Superseded(Exception):  # noqa: N818 - it is not an error
    """Something else is wanted by now."""


class Preparation:
    """Makes what `Desk.missing` says, newest wish first, and hands it over."""

    def __init__(
        self,
        desk: Desk,
        messages: MessageBoard,
        *,
        hand_over: Callable[[Prepared], Future[bool]],
        wake: Callable[[], None],
        give_up: Callable[[int, str, str, str], Future[None]],
        file: TaskFile | None = None,
        make_planner: MakePlanner | None = None,
        threads: int = 0,
    ) -> None:
        """Makes the thread.

        Args:
            desk: What is wanted.
            messages: Where failures are told.
            hand_over: Installs what was prepared; the result says whether it was still wanted.
            wake: Called when `desk.preparing` has changed.
            give_up: Called with number, title, problem and advice when a request failed.
            file: File that the first task was loaded from, to watch, or None.
            make_planner: Makes a planner; None: `app.planners.make_planner`.
            threads: Threads of the native engine; 0: as many as cores.
        """
        self._desk, self._messages = desk, messages
        self._hand_over, self._wake, self._give_up = hand_over, wake, give_up
        self._make_planner = make_planner
        self._threads = threads
        self._stirred = threading.Event()
        self._stopping = threading.Event()
        self._file = file
        self._looked_at = 0.0
        self._thread = threading.Thread(
            target=self._run, name="gpc-studio preparation", daemon=True
        )

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def stir(self) -> None:
        """Tells the thread that something else may be wanted."""
        self._stirred.set()

    def stop(self) -> None:
        """Ends the thread; a compilation under way cannot be broken off and is waited for."""
        self._stopping.set()
        self._stirred.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._stirred.clear()
            request = self._desk.missing()
            if request is None:
                self._say("")
                self._look_at_choices()
                watching = self._file is not None or bool(self._desk.choices)
                self._stirred.wait(POLL_SECONDS if watching else None)
                self._look_at_file()
                continue
            self._settle(request)
            request = self._desk.missing()
            if request is not None and not self._stopping.is_set():
                self._prepare(request)

    def _settle(self, request: Request) -> None:
        """Waits while a slider is being dragged, if there is a planner that goes on meanwhile."""
        began = time.monotonic()
        number = request.number
        while self._desk.pilot is not None and time.monotonic() - began < SETTLE_MOST:
            if self._stopping.wait(SETTLE_SECONDS) or self._desk.request.number == number:
                return
            number = self._desk.request.number

    def _prepare(self, request: Request) -> None:
        try:
            prepared = self._made(request)
        except Superseded:
            return
        except Exception as error:
            self._tell_failure(request, error)
            return
        try:
            taken = self._hand_over(prepared).result()
        except Exception as error:
            self._discard(prepared.pilot)
            self._tell_failure(request, error)
            return
        if not taken:
            self._discard(prepared.pilot)
        elif request.reload:
            self._messages.post(
                "info", "Task reloaded", f"{prepared.pilot.task.title} is as saved."
            )
            self._wake()

    def _made(self, request: Request) -> Prepared:
        """Loads, builds and compiles.

        Raises:
            Superseded: Something else is wanted by now.
            Exception: Whatever goes wrong.
        """
        desk = self._desk
        self._say(_described(request, desk))
        if request.task is None:
            task = self._load(request.source)
            loaded = desk.loaded(request.number, task)
            if loaded is None:
                raise Superseded
            request = loaded
            self._say(_described(request, desk))
        assert request.task is not None
        seed = desk.session.seed
        related = self._related(request)
        if related is not None:
            return Prepared(request, related, None, seed)
        plant = Plant(request.task, seed) if request.task is not desk.task else None
        state = (plant or Plant(request.task, seed)).state()
        self._check_wanted(request)
        options = request.options
        planner = self._new_planner(request.task, request.controller, options)
        try:
            self._check_wanted(request)
            planner.compile(State(*(np.asarray(value)[None] for value in state)))
            self._check_wanted(request)
        except BaseException:
            planner.close()
            raise
        pilot = Pilot(request.task, request.controller, planner, options)
        return Prepared(request, pilot, plant, seed)

    def _related(self, request: Request) -> Pilot | None:
        """The pilot in charge with another policy, where that needs no compilation."""
        pilot = self._desk.pilot
        if pilot is None or pilot.task is not request.task:
            return None
        if pilot.controller != request.controller:
            return None
        planner = planners.sibling(pilot.planner, request.options)
        if planner is None:
            return None
        return replace(pilot, planner=planner, options=request.options)

    def _discard(self, pilot: Pilot) -> None:
        """Closes the planner of a pilot that nobody wants any more."""
        in_charge = self._desk.pilot
        if in_charge is None or in_charge.family is not pilot.family:
            pilot.planner.close()

    def _look_at_choices(self) -> None:
        """Looks what names there are for options whose choices are known only now."""
        request = self._desk.request
        if request.task is None:
            return
        try:
            found = planners.choices(request.task, request.options)
        except OSError:  # a folder that cannot be read now
            return
        if found != self._desk.choices:
            self._desk.choices = found
            self._wake()

    def _new_planner(self, task: Task, controller: str, options: PlanningOptions) -> PlannerLike:
        if self._make_planner is not None:
            return self._make_planner(task, controller, options, threads=self._threads)
        return planners.make_planner(task, controller, options, threads=self._threads)

    def _load(self, source: str | Path | Task) -> Task:
        if isinstance(source, Task):
            return source
        self._watch(source)
        if self._file is None:
            return load_task(source)
        task = self._file.load()
        check_defaults(task)
        return task

    def _watch(self, source: str | Path) -> None:
        """Watches the file of a task; a built-in task has none that changes."""
        if not is_task_path(source):
            self._file = None
        elif self._file is None or self._file.path != Path(source).expanduser().resolve():
            self._file = TaskFile(source)

    def _look_at_file(self) -> None:
        """Wants the task anew when its file was saved."""
        now = time.monotonic()
        if self._file is None or self._stopping.is_set() or now - self._looked_at < POLL_SECONDS:
            return
        self._looked_at = now
        if not self._file.changed():
            return
        path = self._file.path
        source = self._desk.request.source
        current = isinstance(source, (str, Path)) and Path(source).expanduser().resolve() == path
        self._desk.want_task(path, reload=current)

    def _check_wanted(self, request: Request) -> None:
        if self._stopping.is_set() or self._desk.request.number != request.number:
            raise Superseded

    def _say(self, text: str) -> None:
        if text != self._desk.preparing:
            self._desk.preparing = text
            self._wake()

    def _tell_failure(self, request: Request, error: Exception) -> None:
        if isinstance(error, TaskError):
            problem, advice = str(error), "Correct and save the file: it is loaded again."
        elif isinstance(error, UsageError):
            problem, advice = str(error), "Choose another controller or task, or try again."
        else:
            problem = explain(error, request.task)
            advice = "Choose another value, controller or task."
        title = f"Cannot prepare {request.title} with {request.controller}"
        self._give_up(request.number, title, problem, advice).result()


def _described(request: Request, desk: Desk) -> str:
    """What is being prepared, in words."""
    pilot = desk.pilot
    if request.task is None or pilot is None or request.task is not pilot.task:
        return f"{request.title} with {request.controller}"
    if request.controller != pilot.controller:
        return request.controller
    return f"{request.controller} with new options"
