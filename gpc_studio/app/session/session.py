"""A session: a world under control, and everything that can be done with it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from pathlib import Path
from types import TracebackType

import numpy as np

from gpc_studio.app.defaults import check_defaults
from gpc_studio.app.environment import run_programs_inline
from gpc_studio.app.session.checks import check_choice, check_vector
from gpc_studio.app.session.desk import Desk, SessionOptions
from gpc_studio.app.session.episode import Episode
from gpc_studio.app.session.history import History
from gpc_studio.app.session.messages import LEVELS, MessageBoard
from gpc_studio.app.session.pilot import MakePlanner
from gpc_studio.app.session.plant import Plant
from gpc_studio.app.session.plant_thread import PlantThread
from gpc_studio.app.session.preparation import Preparation
from gpc_studio.app.session.push import check_body, check_point
from gpc_studio.app.session.rewind import SECONDS as REWIND_SECONDS
from gpc_studio.app.session.snapshot import Snapshot
from gpc_studio.app.session.waiters import SessionError
from gpc_studio.options import Option, OptionError, updated
from gpc_studio.scenes.loader import TaskFile
from gpc_studio.scenes.mujoco_log import keep_mujoco_quiet
from gpc_studio.scenes.registry import is_task_path, load_task, task_names
from gpc_studio.scenes.task import Task

_REWIND = Option("rewind", float, 1.0, min=0.0, max=REWIND_SECONDS, unit="s")
_RUN = Option("run", float, 1.0, min=0.0, max=1e9, unit="s")
_UNIT_QUATERNION = 1e-6  # shortest quaternion that says something


class Session:
    """Plant and planner at work, in their own threads.

    Commands are thread-safe and return at once; a bad value raises an `OptionError` (a
    `ValueError`) that names field and range, and changes nothing. What goes wrong later, in a
    thread, pauses the session and becomes a message of the snapshot; a session never dies of it.

    In real time the plant follows the clock and the planner does what it can; in lock-step the
    plant waits for every plan, and the same seed and commands give the same bits.

        with Session("cart_pole", "mppi", mode="lock-step") as session:
            snapshot = session.run(5.0)
            print(snapshot.success, snapshot.state.qpos)

    Attributes:
        history: Figures of the newest plans.
    """

    def __init__(
        self,
        task: str | Path | Task | TaskFile = "pendulum",
        controller: str = "mppi",
        *,
        seed: int = 0,
        mode: str = "real-time",
        options: Mapping[str, object] | None = None,
        weights: Mapping[str, float] | None = None,
        speed: float = 1.0,
        paused: bool = False,
        threads: int = 0,
        make_planner: MakePlanner | None = None,
    ) -> None:
        """Loads the task and resets the world; `start` sets things going.

        Args:
            task: Name of a task, a file with one (perhaps loaded already), or a task.
            controller: Name of a controller.
            seed: Seed of the start state and of all noise.
            mode: "real-time" or "lock-step".
            options: Options of the controller other than the task's defaults.
            weights: Cost weights other than the defaults.
            speed: Simulated seconds per second on the clock.
            paused: Whether to start standing still.
            threads: Threads of the native engine; 0: as many as cores.
            make_planner: Makes planners in place of `app.planners.make_planner`.

        Raises:
            TaskError: There is no such task, or its file has a mistake.
            OptionError: Any other value is not acceptable.
        """
        values = {"seed": seed, "mode": mode, "speed": speed}
        chosen = updated(SessionOptions(), values)
        file = None
        if isinstance(task, Task):
            loaded = task
        elif isinstance(task, TaskFile) or is_task_path(task):
            file = task if isinstance(task, TaskFile) else TaskFile(task)
            loaded = file.task or file.load()
            check_defaults(loaded)
            task = file.path
        else:
            loaded = load_task(task)
        self._desk = Desk(
            source=task,
            task=loaded,
            controller=controller,
            options=options or {},
            weights=weights or {},
            session=chosen,
        )
        self.history = History()
        self._messages = MessageBoard()
        episode = Episode(Plant(loaded, chosen.seed), self.history)
        self._plant = PlantThread(episode, self._desk, self._messages, paused)
        self._preparation = Preparation(
            self._desk,
            self._messages,
            hand_over=self._plant.hand_over,
            wake=self._plant.wake,
            give_up=self._plant.give_up,
            file=file,
            make_planner=make_planner,
            threads=threads,
        )
        self._life = threading.Lock()
        self._started = self._stopped = False

    def start(self) -> Session:
        """Starts the threads; a second call does nothing.

        From here on MuJoCo's warnings go to Python's logging (see `keep_mujoco_quiet`), unless
        there is a handler for them already.

        Raises:
            RuntimeError: The session was stopped.
        """
        with self._life:
            if self._stopped:
                raise RuntimeError("a stopped session cannot be started again: make a new one")
            if not self._started:
                keep_mujoco_quiet()
                run_programs_inline()
                self._started = True
                self._plant.start()
                self._preparation.start()
        return self

    def stop(self) -> None:
        """Ends all threads and waits for them; a second call does nothing."""
        with self._life:
            if self._started and not self._stopped:
                self._preparation.stop()
                self._plant.stop()
            self._stopped = True

    def __enter__(self) -> Session:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def snapshot(self) -> Snapshot:
        """The newest snapshot."""
        return self._plant.snapshot

    @property
    def session_options(self) -> SessionOptions:
        """Mode, speed and seed that are wanted."""
        return self._desk.session

    # Time.

    def pause(self) -> None:
        """Stands still."""
        self._plant.post(lambda: self._plant.set_paused(True))

    def resume(self) -> None:
        """Goes on; after an error it tries again."""
        self._plant.post(lambda: self._plant.set_paused(False))
        self._try_again()

    def toggle_pause(self) -> None:
        """Stands still if it goes, else goes on."""
        self._plant.post(lambda: self._plant.set_paused(not self._plant.motion.paused))
        self._try_again()

    def step(self) -> None:
        """Goes on for one replanning period, then stands still."""
        self._plant.post(self._plant.step)
        self._try_again()

    def reset(self, seed: int | None = None) -> None:
        """Starts a new episode, with the same seed unless another is given."""
        if seed is not None:
            self._desk.want_session(seed=seed)
        self._plant.post(lambda: self._plant.reset(self._desk.session.seed))
        self._try_again()

    def rewind(self, seconds: float = 1.0) -> None:
        """Goes back by up to 10 s of simulated time, plant and planner, and on from there.

        What is further back than the oldest instant held goes to that instant.
        """
        back = _REWIND.check(seconds)
        self._plant.post(lambda: self._plant.rewind(back))

    def set_speed(self, speed: float) -> None:
        """Simulated seconds per second on the clock."""
        self._desk.want_session(speed=speed)
        self._plant.wake()

    def set_mode(self, mode: str) -> None:
        """Takes "real-time" or "lock-step"."""
        self._desk.want_session(mode=mode)
        self._plant.post(self._plant.mode_changed)

    # Task, controller and their values.

    def set_task(self, task: str | Path) -> None:
        """Another task, by name or file; it takes over when it is loaded and compiled.

        A file is loaded again whenever it is saved, also after a mistake in it.

        Raises:
            OptionError: There is no task of that name.
        """
        if not isinstance(task, (str, Path)) or not is_task_path(task):
            check_choice("task", task, task_names())
        self._desk.want_task(task)
        self._stir()

    def set_controller(self, name: str) -> None:
        """Another controller, with the task's defaults; it takes over when it is compiled."""
        self._desk.want_controller(name)
        self._stir()

    def set_option(self, name: str, value: object) -> None:
        """One option of the controller that is wanted."""
        self.set_options({name: value} if isinstance(name, str) else name)

    def set_options(self, changes: Mapping[str, object]) -> None:
        """Several options of the controller that is wanted: all of them or none."""
        self._desk.want_options(changes)
        self._stir()

    def set_weight(self, name: str, value: float) -> None:
        """One cost weight of the task in charge."""
        self.set_weights({name: value} if isinstance(name, str) else name)

    def set_weights(self, changes: Mapping[str, float]) -> None:
        """Several cost weights of the task in charge: all of them or none."""
        self._desk.want_weights(changes)
        self._plant.wake()

    # The world.

    def set_goal(self, position: object = None, quaternion: object = None) -> None:
        """Moves the goal, within its limits and along its degrees of freedom only.

        Args:
            position: World frame, m (3,), or None to leave it.
            quaternion: Orientation wxyz (4,), of any length but zero, or None to leave it.

        Raises:
            OptionError: A value is not acceptable, or the task has no goal that moves.
        """
        if self.snapshot.task.goal is None:
            raise OptionError("goal", "a task with a goal that moves", self.snapshot.task.name)
        place = None if position is None else check_vector("goal position", position, 3, "m")
        turn = None
        if quaternion is not None:
            turn = check_vector("goal quaternion", quaternion, 4)
            length = np.linalg.norm(turn)
            if not _UNIT_QUATERNION < length < np.inf:
                raise OptionError("goal quaternion", "a quaternion other than zero", quaternion)
            turn = turn / length
        self._edit(lambda plant: plant.move_goal(place, turn))

    def push(self, body: int, point: object, force: object) -> None:
        """Pushes a body until `release_push`; the point moves with the body.

        Args:
            body: Number of a body that moves.
            point: On the body or near it, world frame, m (3,).
            force: World frame, N (3,); larger ones are scaled down to the plant's limit.

        Raises:
            OptionError: A value is not acceptable.
        """
        now = self.snapshot
        task = now.task
        number = check_body(task.model, body)
        where = check_point(task.model, now.state, number, point)
        how = check_vector("push force", force, 3, "N")

        def change(plant: Plant) -> None:
            if plant.task is task:
                plant.set_push(number, where, how)

        self._edit(change)

    def release_push(self) -> None:
        """Ends a push."""
        self._edit(lambda plant: plant.release_push())

    def notify(self, level: str, title: str, text: str) -> None:
        """Adds a message to the snapshot: "info", "warning" or "error"."""
        self._messages.post(check_choice("level", level, LEVELS), title, text)
        self._plant.wake()

    # Waiting.

    def wait_ready(self, timeout: float | None = 60.0) -> Snapshot:
        """Waits until the controller that is wanted has made its first plan.

        Raises:
            SessionError: It cannot be prepared, or failed; the text says why.
            TimeoutError: It took longer than `timeout`, s; None waits as long as it takes.
        """
        self.start()
        self._try_again()
        return self._plant.wait_ready(self._desk.satisfied).result(timeout)

    def run(self, seconds: float, timeout: float | None = None) -> Snapshot:
        """Waits until that much simulated time has passed, also when paused.

        Lock-step runs as fast as it can, stops at exactly that time and stays paused there. Time
        counts from the end of the last run, or from the start of the episode if nothing else
        was asked for since, so that scripts see the same instants on any machine. In real time
        the session goes on afterwards as it did before.

        Args:
            seconds: Simulated time, s.
            timeout: Longest wait on the clock, s; None waits as long as it takes.

        Raises:
            SessionError: Something stopped it; the text says what.
            TimeoutError: It took longer than `timeout`.
        """
        length = _RUN.check(seconds)
        self.wait_ready(timeout)
        future: Future[Snapshot] = Future()
        if not self._plant.post(lambda: self._plant.run(length, future)):
            raise SessionError("The session was stopped.")
        return future.result(timeout)

    def _stir(self) -> None:
        self._preparation.stir()
        self._plant.wake()

    def _try_again(self) -> None:
        """Prepares what could not be prepared before."""
        self._desk.retry()
        self._preparation.stir()

    def _edit(self, change: Callable[[Plant], None]) -> None:
        plant = self._plant
        plant.post(lambda: plant.edit(lambda: change(plant.episode.plant)))
