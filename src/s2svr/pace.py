"""The speed at which frames come, and the time until the last."""

from collections import deque

from .text import duration_text

RECENT = 300.0  # seconds after which it does not matter how fast frames came


class Pace:
    """The speed of frames over the latter half of the time so far, RECENT seconds at most.

    So neither the start nor what slowed the machine down long ago counts for ever. Frames come in
    bursts: a speed is taken from the end of one to the end of another.
    """

    def __init__(self) -> None:
        self.ends: deque[tuple[float, int]] = deque()  # seconds and frames done
        self.began = 0.0
        self.first = 0

    def add(self, done: int, now: float) -> None:
        """So many frames are done at a time in seconds; they grow from call to call."""
        if not self.ends:
            self.began, self.first = now, done
        if self.ends and done == self.ends[-1][1]:
            return
        if len(self.ends) > 2 and now - self.ends[-2][0] < (now - self.began) / 1000:
            self.ends.pop()  # very many frames: no need to keep every burst
        self.ends.append((now, done))
        since = max((self.began + now) / 2, now - RECENT)
        while len(self.ends) > 2 and self.ends[1][0] <= since:
            self.ends.popleft()

    def speed(self) -> float:
        """Frames a second; 0 before the first."""
        (since, before), (until, done) = self.ends[0], self.ends[-1]
        return (done - before) / max(until - since, 1e-9)

    def left(self, total: int, now: float) -> float:
        """Seconds until all frames are done; some have passed since the last burst."""
        until, done = self.ends[-1]
        return max(0.0, (total - done) / self.speed() - (now - until))

    def text(self, done: int, total: int | None, now: float) -> str:
        """Frames a second, and the time left where the end is known."""
        self.add(done, now)
        if self.ends[-1][1] == self.first:
            return "starting"
        if total is None:
            return f"{self.speed():.2f} frames/s"
        return f"{self.speed():.2f} frames/s, {duration_text(self.left(total, now))} left"
