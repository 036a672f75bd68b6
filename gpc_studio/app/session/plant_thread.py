"""The plant thread: it owns the world, and everything that changes is changed here."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future

from gpc_studio.app.session.desk import Desk
from gpc_studio.app.session.episode import Episode
from gpc_studio.app.session.mailbox import Command, Mailbox
from gpc_studio.app.session.messages import MessageBoard, about_costs, explain
from gpc_studio.app.session.motion import Motion
from gpc_studio.app.session.picture import picture
from gpc_studio.app.session.pilot import Outcome
from gpc_studio.app.session.planning import PlannerThread
from gpc_studio.app.session.plant import PlantDivergedError
from gpc_studio.app.session.preparation import Prepared
from gpc_studio.app.session.snapshot import Snapshot
from gpc_studio.app.session.timing import Pacer
from gpc_studio.app.session.waiters import SessionError, Waiter, Waiters
from gpc_studio.controllers.plan import Plan

PUBLISH_SECONDS = 1.0 / 60.0
BATCH_SECONDS = 0.004  # wall time after which commands are looked at
REST_SECONDS = 0.002  # shortest sleep, so that a small time step does not wake up at every step
IDLE_SECONDS = 1.0
REMEMBER_SECONDS = 0.25  # between instants to rewind to, when nobody plans


class PlantThread:
    """Steps the plant, asks for plans, applies them, and publishes snapshots.

    Commands come as closures through a mailbox and run in this thread between batches of steps,
    so that nothing here needs a lock. In lock-step, changes to the world wait for the next
    planning instant unless the plant stands still.

    Attributes:
        episode: The world, and who plans for it.
        motion: Whether it moves.
        snapshot: The newest snapshot; replaced whole.
    """

    def __init__(self, episode: Episode, desk: Desk, messages: MessageBoard, paused: bool) -> None:
        self.episode = episode
        self.motion = Motion(paused)
        self._desk, self._messages = desk, messages
        self._mail = Mailbox()
        self._planner = PlannerThread(self._on_outcome)
        self._thread = threading.Thread(target=self._run, name="gpc-studio plant", daemon=True)
        self._pacer = Pacer()
        self._waiters = Waiters()
        self._edits: list[Command] = []
        self._required: object = None
        self._stopping = self._started = False
        self._urgent, self._published_at = True, 0.0
        self._trouble, self._told = "", (0, "")
        self.snapshot = self._picture(0)

    # Used by other threads.

    def start(self) -> None:
        """Starts this thread and the planner's."""
        self._started = True
        self._planner.start()
        self._thread.start()

    def stop(self) -> None:
        """Ends both threads and waits for them."""
        if not self._started:
            return

        def end() -> None:
            self._stopping = True

        self._mail.put(end)
        self._thread.join()
        if self.episode.pilot is not None:
            self._planner.retire(self.episode.pilot)
            self.episode.pilot = None
        self._planner.stop()
        self._waiters.fail("The session was stopped.")

    def post(self, command: Command) -> bool:
        """Runs a command in this thread, soon; at once when the thread has not started.

        Returns:
            Whether it is run: after the end it is not.
        """

        def run() -> None:
            self._urgent = True
            command()

        if not self._started:
            run()
            self._publish()
            return True
        return self._mail.put(run)

    def wake(self) -> None:
        """Has everything looked at again, and a snapshot published."""
        self.post(lambda: None)

    def wait_ready(self, satisfied: Callable[[], bool]) -> Future[Snapshot]:
        """A snapshot as soon as `satisfied`, and the pilot in charge has made a plan."""
        future: Future[Snapshot] = Future()

        def wait() -> None:
            self.episode.faulty = False
            self._waiters.add(
                Waiter(lambda: self.episode.planned and satisfied(), future, running=False)
            )

        if not self.post(wait):
            future.set_exception(SessionError("The session was stopped."))
        return future

    def hand_over(self, prepared: Prepared) -> Future[bool]:
        """Puts a prepared pilot in charge, if it is still wanted; the result tells."""
        taken: Future[bool] = Future()

        def install() -> None:
            try:
                taken.set_result(self._install(prepared))
            except Exception as error:
                taken.set_exception(error)

        self.post(install)
        return taken

    def give_up(self, number: int, title: str, problem: str, advice: str) -> Future[None]:
        """Request `number` cannot be had: what was in charge goes on, and people are told."""
        done: Future[None] = Future()

        def tell() -> None:
            alone = self.episode.pilot is None
            if self._desk.fail(number):
                if alone:
                    self.motion.stop_for_error()
                going_on = "" if alone else "What was running goes on. "
                self._messages.post("error", title, f"{problem}. {going_on}{advice}")
                self._waiters.fail(f"{title}: {problem}", running=alone)
            done.set_result(None)

        self.post(tell)
        return done

    # Commands; they run in this thread.

    def set_paused(self, paused: bool) -> None:
        """Stands still, or goes on."""
        self._note_wishes()
        self.motion.pause(paused)
        if paused:
            self._waiters.fail("The session was paused.", others=False)
        else:
            self.episode.faulty = False

    def step(self) -> None:
        """One more replanning period, then stands still."""
        self._note_wishes()
        self.episode.faulty = False
        episode = self.episode
        rest = episode.until_instant() if self._lock_step else 0
        options = self._desk.request.options
        self.motion.go(episode.plant.step, rest or episode.period(options))

    def run(self, seconds: float, future: Future[Snapshot]) -> None:
        """Goes on for so much simulated time; `future` gets the snapshot then."""
        self._note_wishes()
        self.episode.faulty = False
        plant = self.episode.plant
        count = max(1, round(seconds / plant.dt))
        go = self.motion.run_exactly if self._lock_step else self.motion.run
        until = go(plant.step, count)
        self._waiters.add(Waiter(lambda: plant.step >= until, future, running=True))

    def reset(self, seed: int) -> None:
        """Starts a new episode; after an error it goes on as before."""
        self.episode.begin(seed)
        self._begun("The episode was reset.", start=True)

    def rewind(self, seconds: float) -> None:
        """Goes back in time."""
        if self.episode.rewind(seconds):
            self._begun("The session was rewound.", start=False)

    def edit(self, change: Command) -> None:
        """Changes the world, in lock-step at the next planning instant."""
        if self._lock_step and self.motion.advancing and self.episode.until_instant() > 0:
            self._edits.append(change)
        else:
            change()

    def mode_changed(self) -> None:
        """The mode on the desk is another one."""
        self.motion.free = False

    # The loop.

    def _run(self) -> None:
        while not self._stopping:
            try:
                self._mail.read(self._turn())
                self._trouble = ""
            except Exception as error:
                self._survive(error)
        self._mail.close()

    def _turn(self) -> float:
        """Does what is due; returns for how long there is nothing else to do, s."""
        if not self.motion.advancing:
            self._note_wishes()
            self._apply_edits()
        self._ask_for_plan()
        steps = self._steps_due()
        if steps:
            self._advance(steps)
            self._ask_for_plan()
        self._waiters.settle(self._publish)
        advancing = self.motion.advancing
        if self._urgent or (advancing and self._until_publication() <= 0):
            self._publish()
        if not advancing:
            return IDLE_SECONDS
        rest = max(0.0, self._until_publication())
        if self._held_back():
            return rest
        if self.motion.free:
            return 0.0
        return max(REST_SECONDS, min(rest, self._pacer.wait(self.episode.plant.step)))

    def _steps_due(self) -> int:
        episode, motion = self.episode, self.motion
        plant = episode.plant
        if not motion.advancing or self._held_for_pilot():
            self._pacer.hold()
            episode.real_time.clear()
            return 0
        most = motion.left(plant.step)
        if self._lock_step and episode.flying:
            most = min(most, 0 if episode.busy else episode.until_instant())
        if motion.free:
            return most
        return min(most, self._pacer.due(plant.step, plant.dt, self._desk.session.speed))

    def _advance(self, steps: int) -> None:
        episode = self.episode
        plant = episode.plant
        end = time.perf_counter() + BATCH_SECONDS
        try:
            while steps > 0 and time.perf_counter() < end:
                steps -= plant.advance(steps, episode.execution)
        except PlantDivergedError as error:
            text = f"{error}. The last sound state is kept: Rewind or Reset."
            self._stop_for("The simulation diverged", text[0].upper() + text[1:])
        episode.remember_unplanned(REMEMBER_SECONDS)
        episode.real_time.mark(plant.time)
        if self.motion.reached(plant.step):
            self._urgent = True

    def _ask_for_plan(self) -> None:
        episode = self.episode
        # While the plant runs, a plan for the same step is made again only for wishes from before
        # it started to, so that a storm of wishes cannot hold it.
        key = self._required if self.motion.advancing else self._key
        at_instant = episode.planned_step == episode.plant.step
        standing = at_instant if self._lock_step else not self.motion.advancing
        if not episode.due(key, standing=standing):
            return
        if episode.until_instant() == 0:
            self._apply_edits()
        assert episode.pilot is not None
        desk = self._desk
        self._required = self._key
        options = desk.options_for(episode.pilot)
        self._planner.ask(episode.job(self._required, options, desk.weights, desk.session.seed))

    def _on_outcome(self, outcome: Outcome) -> None:
        """Called in the planner thread."""
        self._mail.put(lambda: self._deliver(outcome))

    def _deliver(self, outcome: Outcome) -> None:
        episode = self.episode
        first = episode.plan is None
        error = episode.deliver(outcome)
        if error is not None:
            text = explain(error, episode.plant.task)
            self._stop_for(
                f"{outcome.job.pilot.controller} failed",
                f"{text}. Resume or Reset tries again; or take another controller.",
            )
        elif episode.plan is outcome.plan and outcome.plan is not None:
            self._tell_about_costs(outcome.plan)
        if first or not self.motion.advancing:
            self._urgent = True

    def _install(self, prepared: Prepared) -> bool:
        desk, episode = self._desk, self.episode
        if desk.request.number != prepared.request.number:
            return False
        seed = desk.session.seed
        if prepared.plant is not None and seed != prepared.seed:
            prepared.plant.reset(
                seed
            )  # first of all, since it is a task's own code, which may raise
        at_once = not (self._lock_step and self.motion.advancing)
        old = episode.take(prepared.pilot, at_once=at_once)
        if old is not None:
            self._planner.retire(old)
        if prepared.plant is not None:
            episode.begin(seed, prepared.plant)
            self._begun("Another task was started.", start=True)
        desk.take_charge(prepared.pilot, prepared.request.reload)
        desk.preparing = ""
        return True

    # Facts.

    @property
    def _lock_step(self) -> bool:
        return self._desk.session.mode == "lock-step"

    @property
    def _key(self) -> object:
        """What a plan depends on besides the step: two plans of equal keys are the same."""
        desk, episode = self._desk, self.episode
        options = None if episode.pilot is None else desk.options_for(episode.pilot)
        return (options, desk.weights, episode.plant.edits, episode.generation)

    def _held_for_pilot(self) -> bool:
        """Whether the plant waits for the very first pilot, or for the first plan."""
        unprepared = self.episode.pilot is None and self._desk.missing() is not None
        return unprepared or (self.episode.flying and self.episode.plan is None)

    def _held_back(self) -> bool:
        """Whether the plant cannot go on before mail comes."""
        episode = self.episode
        if self._held_for_pilot():
            return True
        if not (self._lock_step and episode.flying):
            return False
        return episode.busy or episode.until_instant() == 0

    def _until_publication(self) -> float:
        return PUBLISH_SECONDS - (time.perf_counter() - self._published_at)

    # Helpers.

    def _note_wishes(self) -> None:
        self._required = self._key

    def _apply_edits(self) -> None:
        edits, self._edits = self._edits, []
        for change in edits:
            change()

    def _begun(self, why: str, *, start: bool) -> None:
        """Time does not go on from where it was."""
        self._waiters.fail(why, others=False)
        self.motion.begin(start=start)
        self._edits.clear()
        self._pacer.hold()

    def _stop_for(self, title: str, text: str) -> None:
        self.motion.stop_for_error()
        self._messages.post("error", title, text)
        self._waiters.fail(f"{title}. {text}")
        self._urgent = True

    def _tell_about_costs(self, plan: Plan) -> None:
        """Says why the controller does nothing, once in an epoch."""
        text = about_costs(plan, tuple(self.episode.plant.task.weights))
        if text and (self.episode.epoch, text) != self._told:
            self._told = (self.episode.epoch, text)
            self._messages.post("warning", "There is no telling which plan is good", text)
            self._urgent = True

    def _survive(self, error: Exception) -> None:
        """An exception that nobody else took: from the task's own code, as a rule."""
        text = explain(error, self.episode.plant.task)
        if text != self._trouble:
            self._trouble = text
            self._stop_for(
                "The session had to pause",
                f"{text}. Reset, Rewind or Resume goes on; or take another task.",
            )
        time.sleep(0.05)

    def _publish(self) -> Snapshot:
        self.snapshot = self._picture(self.snapshot.number + 1)
        self._published_at = time.perf_counter()
        self._urgent = False
        return self.snapshot

    def _picture(self, number: int) -> Snapshot:
        paused = self.motion.paused
        return picture(number, self.episode, self._desk, paused, self._messages.newest)
