"""What is known of an unfinished adaptation, on the disk, so that a later try can go on."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..files import write_whole
from ..media import MediaError
from .judge import Score
from .traces import Traces

NAME = "adaptation.json"
FORMAT = 2  # of what is written


@dataclass
class Known:
    """Results of the stages; None where one is not done."""

    conditions: dict[str, Any]  # all that they depend on
    spent: float = 0.0  # seconds
    better: bool | None = None  # the portions were restored by a better network
    portions: dict[str, bool] | None = None  # keys, and whether they are held out
    traces: dict[str, Any] | None = None
    before: list[dict[str, float]] | None = None  # scores of the first network
    judging: float = 0.0  # seconds that these took
    pairs: list[str] | None = None  # keys of those that are learned from
    flow: str | None = None  # what became of the flow network
    flow_learned: bool = False

    def found(self) -> Traces:
        """The damage that was told."""
        assert self.traces is not None
        return Traces(**self.traces)

    def first(self) -> list[Score]:
        """Scores of the first network."""
        return [Score(**values) for values in self.before or []]

    def keep(self, folder: Path) -> None:
        """Write it down."""
        write_whole(folder / NAME, json.dumps({"format": FORMAT, **asdict(self)}).encode())


def resumed(folder: Path, conditions: dict[str, Any]) -> Known:
    """The state that an earlier try has left in its folder, or a new one.

    Raises MediaError where that try was begun under other conditions, or by another version.
    """
    path = folder / NAME
    if not path.exists():
        return Known(conditions)
    values = json.loads(path.read_text(encoding="utf-8"))
    if values.pop("format", None) != FORMAT:
        raise MediaError(
            "an earlier try was begun by another version of s2svr: begin anew with --restart"
        )
    state = Known(**values)
    differing = [name for name, value in conditions.items() if state.conditions.get(name) != value]
    if differing:
        raise MediaError(
            f"an earlier try was begun with another {' and '.join(differing)}: give the same as "
            "then, or begin anew with --restart"
        )
    return state
