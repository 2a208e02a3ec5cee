"""A batch as a value."""

from dataclasses import dataclass, field
from pathlib import Path

from ..jobs import Order


@dataclass(frozen=True)
class BatchSettings:
    """What is restored, into what, and how; the order holds for every file."""

    inputs: tuple[str, ...]  # files, folders, patterns, and @lists
    out: Path
    name: str = "{name}"  # of an output, by fields of ``inputs.FIELDS``
    order: Order = field(default_factory=Order)
    weights: str | None = None  # in place of the task's own
    planned: bool = True  # time and disk are measured before
    split: float | None = None  # seconds: longer films are restored in such stretches, side by side
    watch: bool = False  # goes on with files that come later
    settle: float = 10.0  # seconds in which a watched file must not change

    @property
    def hidden(self) -> Path:
        """The folder of records and of the queue, beside the outputs."""
        return self.out / ".s2svr-batch"
