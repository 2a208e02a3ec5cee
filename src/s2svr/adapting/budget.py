"""Time that may be taken, over all tries of one adaptation."""

import time
from collections.abc import Callable

Clock = Callable[[], float]  # seconds from any moment on
Report = Callable[[str, float, float], None]  # what is done now, seconds that are gone, and of all


class Budget:
    """Seconds of a clock; ``spent`` ones are gone before it begins."""

    def __init__(
        self,
        seconds: float,
        spent: float = 0.0,
        *,
        clock: Clock = time.monotonic,
        report: Report = lambda doing, spent, seconds: None,
    ) -> None:
        self.seconds, self.before = seconds, spent
        self.clock, self.report = clock, report
        self.began = clock()

    def spent(self) -> float:
        """Seconds that are gone."""
        return self.before + self.clock() - self.began

    def left(self, share: float = 1.0) -> float:
        """Seconds that are left of the first ``share`` of all."""
        return share * self.seconds - self.spent()

    def tell(self, doing: str) -> None:
        """Report what is done now."""
        self.report(doing, self.spent(), self.seconds)
