"""An adaptation in its work: what every stage of it needs."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..checkpoint import Card
from ..data import Stored, kept_clip
from ..models import S2SVR
from ..train import Run
from .budget import Budget
from .judge import Score, scores_of
from .settings import Adaptation
from .state import Known

WRITTEN = 5.0  # seconds between notes of the time that is gone
STOPPED = "stopped: the same command goes on"


@dataclass
class Workshop:
    """A film, the network that learns it, and what is known so far."""

    job: Adaptation
    model: S2SVR  # as it was
    better: S2SVR | None  # a larger network of the same task
    card: Card
    folder: Path
    state: Known
    budget: Budget
    stop: Callable[[], bool]
    written: float = 0.0
    failed: str = ""  # why nothing was learned, where that is not for want of time

    def tell(self, doing: str) -> None:
        """Report what is done, and note the time. KeyboardInterrupt where it has to stop."""
        self.budget.tell(doing)
        if self.budget.spent() - self.written > WRITTEN:
            self.note()
        if self.stop():
            self.note()
            raise KeyboardInterrupt(STOPPED)

    def note(self) -> None:
        """Write down what is known."""
        self.written = self.state.spent = self.budget.spent()
        self.state.keep(self.folder)

    def going(self, doing: str, left: Callable[[], bool]) -> Callable[[int], bool]:
        """A function that says after each step whether there is time ``left``, and reports it."""

        def going(step: int) -> bool:
            self.budget.tell(f"{doing}, step {step}")
            if self.budget.spent() - self.written > WRITTEN:
                self.note()
            return left() and not self.stop()

        return going

    def run(self, name: str) -> Run:
        """A training in the folder of this name."""
        device = str(next(self.model.parameters()).device)
        return Run(self.folder / name, device, cache=self.folder / "clips", name="adapt")

    @property
    def restorer(self) -> S2SVR:
        """The network whose restored frames are learned from."""
        return self.better if self.better is not None and self.state.better else self.model

    @property
    def clips(self) -> Path:
        """The folder of arrays."""
        return self.folder / "clips"

    def portions(self, *, held: bool) -> list[Stored]:
        """The portions that are held out, or that are learned from, with their restored frames."""
        assert self.state.portions is not None
        keys = [key for key, apart in self.state.portions.items() if apart == held]
        return [kept_clip(self.clips, key, "film", list) for key in keys]

    def scores(self, model: S2SVR) -> list[Score]:
        """Scores of a network on what is held out."""
        return scores_of(
            model, self.portions(held=True), self.state.found(), better=bool(self.state.better),
            tell=lambda: self.tell("judging"),
        )  # fmt: skip
