"""Whether the plant moves, and until when."""

from __future__ import annotations


class Motion:
    """Pause, single steps and runs of a given length.

    Attributes:
        paused: Whether the plant stands still once `until` is reached.
        until: Step up to which the plant goes although it is paused, or None.
        free: Whether it goes there without regard to the clock.
    """

    def __init__(self, paused: bool) -> None:
        self.paused = paused
        self.until: int | None = None
        self.free = False
        self._origin: int | None = 0
        self._before_error: bool | None = None

    @property
    def advancing(self) -> bool:
        """Whether the plant moves."""
        return not self.paused or self.until is not None

    def left(self, step: int) -> int:
        """Steps that the plant may take from `step` on."""
        return 1 << 30 if self.until is None else max(0, self.until - step)

    def pause(self, paused: bool) -> None:
        """The user's pause button."""
        self.paused = paused
        self._origin = self._before_error = None
        if paused:
            self.until, self.free = None, False

    def go(self, step: int, count: int) -> None:
        """`count` steps more, then stand still."""
        self.paused = True
        self._origin = None
        self.until = (step if self.until is None else self.until) + count

    def run(self, step: int, count: int) -> int:
        """`count` steps from `step` on, then as before; returns the step it ends at."""
        self.until = step + count
        return self.until

    def run_exactly(self, step: int, count: int) -> int:
        """`count` steps as fast as they can be made, then stand still; returns the last step.

        They count from the end of the last such run, or from the start of the episode, if the
        plant has gone on from there on its own: a script sees the same instants whatever the
        machine does between its calls.
        """
        origin = step if self._origin is None or self._origin + count <= step else self._origin
        self.until = self._origin = origin + count
        self.paused = self.free = True
        return self.until

    def reached(self, step: int) -> bool:
        """Ends a run at `step` if it is there; returns whether it did."""
        if self.until is None or step < self.until:
            return False
        self.until, self.free = None, False
        return True

    def stop_for_error(self) -> None:
        """Stands still; `begin` goes on as it was before."""
        if self._before_error is None:
            self._before_error = self.paused
        self.paused, self.until, self.free = True, None, False

    def begin(self, *, start: bool) -> None:
        """Time starts anew: at the start of an episode, or somewhere in it."""
        self.until, self.free = None, False
        self._origin = 0 if start else None
        if start and self._before_error is not None:
            self.paused, self._before_error = self._before_error, None
