"""Trains a policy for the task in a process of its own, and shows how it goes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from gpc_studio.app.planners import CHECKPOINT, uses_policy
from gpc_studio.app.session.snapshot import Snapshot
from gpc_studio.app.train.command import METHODS
from gpc_studio.app.train.curves import PANELS
from gpc_studio.app.train.sizes import SIZES, Size
from gpc_studio.app.train.worker import TrainWorker
from gpc_studio.app.web import html
from gpc_studio.app.web.charts.chart import Chart, Line, thinned
from gpc_studio.app.web.charts.colours import series_color
from gpc_studio.app.web.controls import Control, add_control, on_click
from gpc_studio.app.web.overlays.colours import BEST, Rgb, source_colour
from gpc_studio.controllers.plan import Source
from gpc_studio.options import Option
from gpc_studio.scenes.registry import task_class, task_names
from gpc_studio.scenes.task import Task

if TYPE_CHECKING:
    import viser

    from gpc_studio.app.session import Session

HEIGHT = 112
CONTROLLER = "gpc_cem"
"""Put in charge when a policy shall be used and the present controller takes none."""

_COLOURS = {
    "policy_best": source_colour(Source.FLOW),
    "policy_cost": source_colour(Source.FLOW),
    "best_cost": BEST,
    "validation_loss": series_color(1),
}
_X_LABEL = {"gpc": "Round", "offline": "Optimiser step"}
_ENDED = ("done", "stopped", "failed")


class Worker(Protocol):
    """What the panel needs of `app.train.worker.TrainWorker`, which says more."""

    def start(self) -> None:
        """Starts the process."""
        ...

    def poll(self) -> Mapping[str, Any]:
        """State, progress and message."""
        ...

    def curve(self) -> Sequence[Mapping[str, Any]]:
        """Scalars so far."""
        ...

    def stop(self, timeout: float = ...) -> None:
        """Saves and ends; blocks until then."""
        ...


@dataclass(frozen=True)
class _Run:
    """A training that was started."""

    worker: Worker
    task: str
    method: str
    name: str


class TrainPanel:
    """Starts and stops trainings, one at a time; what is trained can be used at one press.

    The process goes on when all browsers are closed, and ends with the studio.
    """

    def __init__(
        self,
        gui: viser.GuiApi,
        session: Session,
        *,
        sizes: Mapping[str, Size] = SIZES,
        make_worker: Callable[[Sequence[str]], Worker] = TrainWorker,
    ) -> None:
        """Adds the controls to the open container.

        Args:
            gui: Where to add them.
            session: Whose task is trained for.
            sizes: How much to train, by name.
            make_worker: Makes a worker for the arguments of `gpc-studio`.
        """
        self._gui, self._session = gui, session
        self._sizes, self._make_worker = sizes, make_worker
        self._run: _Run | None = None
        self._told = ""
        self._stopping: threading.Thread | None = None
        self._lock = threading.Lock()
        self._chosen = {"method": METHODS[0], "size": next(iter(sizes))}
        self._add_controls()
        self._suggested = self._name.value
        self._charts: list[tuple[Chart, tuple[str, ...], float]] = []
        self._drawn = -1
        self.update(session.snapshot)

    def update(self, snapshot: Snapshot) -> None:
        """Shows how far the training is."""
        self._suggest(snapshot.task)
        with self._lock:  # Charts and run change together.
            run = self._run
            if run is None:
                return
            self._show_curves(run)
        progress = run.worker.poll()
        state = str(progress["state"])
        self._show_progress(run, state, progress)
        if state in _ENDED and self._told != state:
            self._told = state
            self._tell(run, state, str(progress["message"]))

    def stop(self) -> None:
        """Ends the training, which saves what it has."""
        if self._run is not None:
            self._run.worker.stop(10.0)

    @property
    def running(self) -> bool:
        """Whether a training is under way."""
        return self._run is not None and self._run.worker.poll()["state"] not in _ENDED

    # Commands.

    def start(self) -> None:
        """Starts a training with what is chosen.

        Raises:
            ValueError: One is under way already, the name is none that a checkpoint may have, or
                the task is in no file.
        """
        from gpc_studio.app.train.command import default_name
        from gpc_studio.models.library import path_for

        with self._lock:
            if self.running:
                raise ValueError("A training is under way: stop it first, or wait for its end.")
            snapshot = self._session.snapshot
            task, method, size = snapshot.task, self._chosen["method"], self._chosen["size"]
            name = self._name.value.strip() or default_name(task, method)
            path_for(name)  # refuses what would be something else on a command line, too
            arguments = [
                "train", _told_as(task), "--method", method, "--name", name,
                *self._sizes[size](task, method), *_moved_weights(snapshot),
            ]  # fmt: skip
            worker = self._make_worker(arguments)
            worker.start()
            self._told = ""
            self._build_charts(method)
            self._run = _Run(worker, task.name, method, name)

    def interrupt(self) -> None:
        """Has the training save and end; returns at once.

        Raises:
            ValueError: None is under way.
        """
        if self._run is None or not self.running:
            raise ValueError("There is no training to stop.")
        if self._stopping is None or not self._stopping.is_alive():
            self._stopping = threading.Thread(target=self._run.worker.stop, daemon=True)
            self._stopping.start()

    def use(self) -> None:
        """Puts the policy just trained in charge.

        Raises:
            ValueError: There is none, or the session runs another task.
        """
        run, snapshot = self._run, self._session.snapshot
        if run is None or run.worker.poll()["state"] != "done":
            raise ValueError("There is no policy just trained.")
        if run.task not in (snapshot.task.name, *snapshot.task.policies_of):
            raise ValueError(f"{run.name} is a policy for {run.task}: choose that task first.")
        if not uses_policy(snapshot.options):
            self._session.set_controller(CONTROLLER)
        self._session.set_option(CHECKPOINT, run.name)

    # What is shown.

    def _add_controls(self) -> None:
        gui = self._gui
        self._controls: list[Control] = [
            self._choice(
                "method", METHODS, "Method",
                "gpc: collect with the policy's help and fit, in turns. offline: collect plans of "
                "a controller that may take its time, then fit once.",
            ),
            self._choice(
                "size", tuple(self._sizes), "Size",
                "quick: less than half of the task's recipe, for a first look. full: all of it.",
            ),
        ]  # fmt: skip
        self._name = gui.add_text(
            "Name", "", hint="Name of the checkpoint: letters, digits, _ and -."
        )
        self._start = on_click(gui.add_button("Start training"), self.start)
        self._stop = on_click(gui.add_button("Stop training", color="gray"), self.interrupt)
        self._use = on_click(gui.add_button("Use it now", color="teal"), self.use)
        self._stop.visible = self._use.visible = False
        self._bar = gui.add_progress_bar(0.0, visible=False, animated=True)
        self._line = gui.add_html(_line("Trains a policy for the task, while the session goes on."))
        self._folder = gui.add_folder(None)
        self._folder.visible = False

    def _choice(self, name: str, choices: tuple[str, ...], label: str, help: str) -> Control:
        option = Option(name, str, choices[0], choices=choices, label=label, help=help)

        def choose(value: Any) -> None:
            self._chosen[name] = option.check(value)

        return add_control(self._gui, option, choices[0], choose)

    def _suggest(self, task: Task) -> None:
        """Keeps the name one that is free, until somebody types another."""
        if self._name.value != self._suggested or self.running:
            return
        method, size = self._chosen["method"], self._chosen["size"]
        fresh = _free_name(f"{task.name}_{method}" + ("" if size == "full" else f"_{size}"))
        if fresh != self._suggested:
            self._suggested = self._name.value = fresh

    def _build_charts(self, method: str) -> None:
        for child in tuple(self._folder._children.values()):
            child.remove()
        self._charts, self._drawn = [], -1
        with self._folder:
            for panel in PANELS[method]:
                lines = [Line(c.name, _colour(c.scalar)) for c in panel.curves]
                chart = Chart(
                    self._gui, panel.title, lines, y_label="Share (%)" if panel.percent else "",
                    y_range=(-3.0, 103.0) if panel.percent else None,
                    height=HEIGHT + (20 if len(lines) > 1 else 0), legend=len(lines) > 1,
                    x_label=_X_LABEL[method],
                )  # fmt: skip
                scale = 100.0 if panel.percent else 1.0
                self._charts.append((chart, tuple(c.scalar for c in panel.curves), scale))
        self._folder.visible = False

    def _show_curves(self, run: _Run) -> None:
        entries = run.worker.curve()
        if len(entries) == self._drawn:
            return
        self._drawn = len(entries)
        # A line needs two points.
        self._folder.visible = len(entries) > 1
        rows = [entries[i] for i in thinned(len(entries))]
        for chart, scalars, scale in self._charts:
            steps = np.array([row["step"] for row in rows], float)
            values = [[scale * _number(row.get(name)) for row in rows] for name in scalars]
            if scale == 1.0:
                chart.use_log(_spans_decades(np.array(values)))
            chart.show(steps, *(np.array(line, float) for line in values))

    def _show_progress(self, run: _Run, state: str, progress: Mapping[str, Any]) -> None:
        busy = state not in _ENDED
        for control in (self._start, *(c.handle for c in self._controls), self._name):
            _set(control, "disabled", busy)
        _set(self._stop, "visible", busy)
        _set(self._bar, "visible", busy)
        _set(self._use, "visible", state == "done")
        _set(self._bar, "value", round(100.0 * float(progress.get("progress") or 0.0), 1))
        message, eta = str(progress["message"]), progress.get("eta")
        if state == "done":  # Where the files lie is too long a story for this place.
            message = message.partition(":")[0]
        if busy and eta is not None:
            message += f", {_duration(eta)} left"
        kind = "error" if state == "failed" else ""
        content = _line(message, f"{run.name}: {_STATES[state]}", kind)
        _set(self._line, "content", content)

    def _tell(self, run: _Run, state: str, message: str) -> None:
        """Tells all pages, also those that look at something else."""
        if state == "done":
            text = f"The policy for {run.task} is among the checkpoints; “Use it now” is in Train."
            self._session.notify("info", f"{run.name} is trained", text)
        elif state == "failed":
            self._session.notify("error", f"{run.name} could not be trained", message)


_STATES = {
    "starting": "starting", "running": "in training", "done": "trained", "stopped": "stopped",
    "failed": "failed",
}  # fmt: skip


def _set(handle: Any, name: str, value: Any) -> None:
    if getattr(handle, name) != value:
        setattr(handle, name, value)


def _line(message: str, title: str = "", kind: str = "") -> str:
    """What the line below the buttons says."""
    head = f"<b>{html.text(title)}</b> " if title else ""
    return f'<div class="gpc-note gpc-{kind}">{head}{html.text(message)}</div>'


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{max(seconds, 1.0):.0f} s"
    return f"{seconds / 60.0:.0f} min"


def _colour(scalar: str) -> Rgb:
    return _COLOURS.get(scalar, series_color(0))


def _spans_decades(values: np.ndarray) -> bool:
    """Whether values would be lost on a linear axis."""
    finite = values[np.isfinite(values)]
    return bool(finite.size and finite.min() > 0 and finite.max() > 20.0 * finite.min())


def _number(value: Any) -> float:
    return float("nan") if value is None else float(value)


def _told_as(task: Task) -> str:
    """The task as the command line takes it: by name, or by its file.

    Raises:
        ValueError: It has no file.
    """
    # One's own may have kept the name of a built-in that it was made from.
    if task.name in task_names() and type(task) is task_class(task.name):
        return task.name
    path = task.source_path
    if path is None:
        raise ValueError(
            f"task {task.name} is in no file, which the training's own process could read: "
            "save it as one"
        )
    return str(path)


def _moved_weights(snapshot: Snapshot) -> list[str]:
    """Flags for the weights that somebody moved: what is trained is what is seen."""
    defaults = snapshot.task.default_weights()
    flags: list[str] = []
    for name, value in snapshot.weights.items():
        if value != defaults[name]:
            flags += ["--weight", f"{name}={value:.12g}"]
    return flags


def _free_name(name: str) -> str:
    """The name, with a number where there is a checkpoint of it already."""
    from gpc_studio.models.library import path_for, sanitised, shipped_dir

    name = sanitised(name)
    for number in range(1, 1000):
        numbered = name if number == 1 else f"{name[:60]}_{number}"
        path = path_for(numbered)
        if not path.exists() and not (shipped_dir() / path.name).exists():
            return numbered
    return name
