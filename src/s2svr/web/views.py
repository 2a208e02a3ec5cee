"""What callers see of a job: no place of the server's disk but where they are on it."""

from typing import Any

from pydantic import BaseModel, Field

from ..jobs import Entry, JobQueue, Making, Order

HIDDEN = {"source", "target", "rank", "worked"}


class JobView(BaseModel):
    """A job: what it is to do, how far it is, and what came of it."""

    id: str
    name: str = Field(description="of the source")
    output: str = Field(description="name of the file that is made")
    place: str | None = Field(None, description="the output on the server's disk, for local use")
    owned: bool = Field(description="the source was uploaded; it and the output go with the job")
    state: str = Field(description="new, waiting, running, paused, done, failed or cancelled")
    order: Order = Field(description="the settings")
    facts: dict[str, Any] | None = Field(None, description="about the source, and what is kept")
    network: str = Field("", description="proposed or used")
    why: str = ""
    planning: bool = Field(False, description="the plan is being made")
    plan: dict[str, Any] | None = Field(None, description="time, memory and disk")
    preview: Making | None = None
    done: int = Field(0, description="frames")
    kept: int = Field(0, description="frames that are never restored again")
    total: int | None = None
    fps: float | None = Field(None, description="frames a second")
    left: float | None = Field(None, description="seconds")
    pictures: int = Field(0, description="how many there were; the last one can be shown")
    said: list[str] = Field([], description="warnings")
    error: str = ""
    summary: dict[str, Any] | None = None
    report: list[dict[str, str]] | None = Field(None, description="what became of everything")
    fidelity: dict[str, Any] | None = Field(None, description="distance from the source, dB")
    created: float = Field(description="seconds since 1970")
    expires: float | None = Field(None, description="when it goes; none while it is active")


def job_view(queue: JobQueue, entry: Entry, *, local: bool) -> JobView:
    """What callers see; ``local``: they sit at this machine."""
    shown = entry.model_dump(exclude=HIDDEN)
    if shown["why"].startswith("--quality"):
        shown["why"] = "you chose it"
    if shown["summary"]:
        shown["summary"] |= {"source": entry.name, "target": entry.target.name}
    if shown["plan"]:
        shown["plan"] |= {"target": entry.target.name, "why": shown["why"]}
    place = str(entry.target) if local else None
    return JobView(
        **shown, output=entry.target.name, place=place, expires=queue.expires(entry)
    )  # fmt: skip


class PickRequest(BaseModel):
    """A video, or a folder of images, of the server's own folder."""

    path: str = Field(description="inside that folder")
    order: Order = Field(default_factory=Order, description="the settings")


class ReorderRequest(BaseModel):
    """Jobs that come first, in their order."""

    jobs: list[str] = Field(description="ids")


class PreviewRequest(BaseModel):
    """The seconds that are shown."""

    start: float | None = Field(None, ge=0, description="seconds; null: those of the middle")


class Problem(BaseModel):
    """An error: one sentence that says what was expected, what came, and what to do."""

    detail: str


class About(BaseModel):
    """The server: what it can do, and its limits."""

    version: str
    tasks: dict[str, dict[str, Any]]
    qualities: list[str]
    max_upload: int = Field(description="bytes")
    free: int = Field(description="bytes of the disk")
    keep: float = Field(description="seconds after which jobs go that are not active")
    root: bool = Field(description="there is a folder whose videos may be picked")
    local: bool = Field(description="the server answers this machine alone")
