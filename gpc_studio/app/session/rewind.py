"""The last seconds of a session, to go back to."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any

from gpc_studio.app.session.plant import Execution, PlantState

SECONDS = 10.0


@dataclass(frozen=True)
class Instant:
    """Everything needed to go on from one moment as if it were now.

    Attributes:
        plant: Full state of the plant.
        planner: Family of the pilots that can go on with `memory`, or None.
        memory: Memory of the planner before the plan made at this moment, or None.
        execution: Controls in force before that plan, or None.
    """

    plant: PlantState
    planner: object
    memory: Any
    execution: Execution | None


class RewindBuffer:
    """Ring of instants, the newest last; holds the last `seconds` of simulated time."""

    def __init__(self, seconds: float = SECONDS, capacity: int = 4096) -> None:
        self.seconds = seconds
        self._instants: deque[Instant] = deque(maxlen=capacity)

    def __len__(self) -> int:
        return len(self._instants)

    @property
    def newest(self) -> Instant | None:
        """The newest instant."""
        return self._instants[-1] if self._instants else None

    def add(self, instant: Instant) -> None:
        """Adds an instant; another one of the same step is replaced."""
        if self._instants and self._instants[-1].plant.step == instant.plant.step:
            self._instants.pop()
        self._instants.append(instant)
        # One instant at or before the limit is kept, so that the whole span can be reached.
        while len(self._instants) > 1 and self._instants[1].plant.time <= (
            instant.plant.time - self.seconds
        ):
            self._instants.popleft()

    def back_to(self, time: float) -> Instant | None:
        """The newest instant at or before `time` (s), else the oldest; drops those after it."""
        while len(self._instants) > 1 and self._instants[-1].plant.time > time + 1e-9:
            self._instants.pop()
        return self.newest

    def clear(self) -> None:
        """Drops everything."""
        self._instants.clear()
