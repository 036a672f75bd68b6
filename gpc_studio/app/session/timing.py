"""Wall clock and simulated clock: pacing, and what was reached."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable

Clock = Callable[[], float]


class Pacer:
    """Says how many steps of the plant are due, from the wall clock and the wanted speed.

    A plant that cannot keep up does not spiral: wall time beyond `backlog` is dropped, and
    `RealTimeMeter` tells the truth about it.
    """

    def __init__(self, backlog: float = 0.1, clock: Clock = time.perf_counter) -> None:
        """Makes a pacer that stands still.

        Args:
            backlog: Wall time that may be caught up, s.
            clock: Wall clock, s.
        """
        self._backlog = backlog
        self._clock = clock
        self._anchor: tuple[float, int, float] | None = None  # wall time, step, steps per second

    def hold(self) -> None:
        """The plant stands still: time that passes from now on is not made up for."""
        self._anchor = None

    def due(self, step: int, dt: float, speed: float) -> int:
        """Steps to take now.

        Args:
            step: Number of the step that the plant is at.
            dt: Length of a step, s of simulation.
            speed: Simulated seconds per wall second.
        """
        now, rate = self._clock(), speed / dt
        if self._anchor is None or self._anchor[1] > step:
            self._anchor = (now, step, rate)
        wall, first, before = self._anchor
        # The small addition keeps a step that is due to the last bit from waiting a turn.
        owed = (now - wall) * before - (step - first) + 1e-6
        most = max(1, math.floor(self._backlog * rate))
        if owed > most or rate != before:
            # What is owed stays owed at another speed, or a storm of speeds would stop the clock.
            owed = min(owed, most)
            self._anchor = (now - owed / rate, step, rate)
        return max(math.floor(owed), 0)

    def wait(self, step: int) -> float:
        """Wall time until the next step is due, s; 0 when the plant stands still."""
        if self._anchor is None:
            return 0.0
        wall, first, rate = self._anchor
        return max(0.0, wall + (step + 1 - first) / rate - self._clock())


class RealTimeMeter:
    """Simulated seconds per wall second, over the last second of wall time."""

    def __init__(self, window: float = 1.0, clock: Clock = time.perf_counter) -> None:
        self._window = window
        self._clock = clock
        self._marks: deque[tuple[float, float]] = deque(maxlen=512)

    def clear(self) -> None:
        """Forgets everything: the plant stands still."""
        self._marks.clear()

    def mark(self, simulated: float) -> None:
        """Notes the simulated time reached now, s; marks closer than 10 ms are thinned out."""
        now = self._clock()
        if self._marks and now - self._marks[-1][0] < 0.01:
            return
        self._marks.append((now, simulated))
        while self._marks[0][0] < now - self._window and len(self._marks) > 2:
            self._marks.popleft()

    @property
    def factor(self) -> float:
        """Simulated seconds per wall second; 0 while the plant stands still."""
        if len(self._marks) < 2:
            return 0.0
        (wall, first), (now, last) = self._marks[0], self._marks[-1]
        return (last - first) / (now - wall)


class RateMeter:
    """Planning steps per second of simulation, over the last two seconds or four plans."""

    def __init__(self, window: float = 2.0) -> None:
        self._window = window
        self._times: deque[float] = deque(maxlen=512)

    def clear(self) -> None:
        """Forgets all plans."""
        self._times.clear()

    def mark(self, simulated: float) -> None:
        """Notes a plan made from the state at `simulated`, s; a second one there counts once."""
        if self._times and simulated <= self._times[-1]:
            return
        self._times.append(simulated)
        while len(self._times) > 4 and self._times[0] < simulated - self._window:
            self._times.popleft()

    def rate(self, now: float) -> float:
        """Plans per simulated second, Hz; it falls when no plan comes any more.

        Args:
            now: Simulated time, s.
        """
        if len(self._times) < 2:
            return 0.0
        count, span = len(self._times) - 1, self._times[-1] - self._times[0]
        overdue = now - self._times[-1]
        if overdue > 1.5 * span / count:
            return (count + 1) / (now - self._times[0])
        return count / span
