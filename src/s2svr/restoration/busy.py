"""Notice of a machine that has become too busy for the threads that a restoration has."""

import os
from collections import deque
from statistics import median

import torch

from ..devices import core_count
from ..text import Say

SLOWER = 3.0  # times as long as before
FEWEST_STEPS = 3  # that tell how long a step took before
RECENT_STEPS = 100


class BusyCores:
    """Compares each step with those before it, and says once that the cores are busy."""

    def __init__(self, say: Say) -> None:
        self.say, self.said = say, False
        self.before: deque[float] = deque(maxlen=RECENT_STEPS)  # seconds a frame

    def note(self, seconds: float, frames: int) -> None:
        """Take a step that took so long for so many frames."""
        each = seconds / frames
        usual = median(self.before) if len(self.before) >= FEWEST_STEPS else each
        if each < SLOWER * usual:
            self.before.append(each)
        elif not self.said and torch.get_num_threads() > 1:
            load, cores = load_average(), core_count()
            if load > cores:
                self.said = True
                self.say(
                    f"the last {frames} frames took {each / usual:.0f} times as long as those "
                    f"before, with a load of {load:.1f} on {cores} cores: other programs compute "
                    "too. Then --threads 1 is often faster; for a restoration that has begun it "
                    "needs --restart, since results differ in their last bits"
                )


def load_average() -> float:
    """Programs that wanted to run in the last minute, on average; 0 where that is not known."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
