"""Jobs as they are asked for, kept on the disk and shown: plain values that know no torch."""

import secrets
import time
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from ..tasks import task_named

State = Literal["new", "waiting", "running", "paused", "done", "failed", "cancelled"]
ENDED: tuple[State, ...] = ("done", "failed", "cancelled")
ACTIVE: tuple[State, ...] = ("waiting", "running", "paused")


class Order(BaseModel):
    """The settings of a restoration, named as the command line's options; None: the usual one."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    task: str | None = Field(None, description="sr, upscale, deblur or compression")
    quality: Literal["auto", "fast", "best"] = Field("auto", description="network of the task")
    codec: str | None = Field(None, description="of the output, such as h264, hevc, av1 or ffv1")
    crf: int | None = Field(None, description="quality of the codec; lower is better and larger")
    bits: int | None = Field(None, description="of a sample, 8 or 10")
    scale: float | None = Field(None, description="times larger than the input")
    size: tuple[int, int] | None = Field(None, description="width and height, in place of scale")
    height: int | None = Field(None, description="of the result as shown, in place of scale")
    width: int | None = Field(None, description="of the result as shown, in place of scale")
    fit: tuple[int, int] | None = Field(None, description="width and height that it fits in")
    strength: float = Field(1.0, ge=0, le=1, description="share of the restored picture")
    grain: bool = Field(False, description="give back the noise of the input")
    bitrate: int | None = Field(None, ge=1, description="bits a second, in place of crf")
    preset: str | None = Field(None, description="speed of the encoder, as it calls it")
    audio: str | None = Field(None, description="form of the sound, as --audio of s2svr restore")
    audio_tracks: tuple[str, ...] = Field((), description="sound that is taken; none: all of it")
    fps: float | None = Field(None, gt=0, description="frames a second of a folder of images")
    start: float | None = Field(None, ge=0, description="seconds at which the restoration begins")
    end: float | None = Field(None, gt=0, description="seconds at which it ends")
    deinterlace: Literal["auto", "off", "refuse", "bob", "ivtc"] = "auto"
    device: str = Field("auto", description="auto, cpu, cuda or cuda:N")
    precision: Literal["auto", "fp32", "fp16", "bf16"] = "auto"
    threads: int | None = Field(None, ge=1, description="of the CPU")
    window: int = Field(16, ge=1, description="frames that are restored at once, at most")
    tile: int | None = Field(None, ge=1, description="longest side of a part of a frame, pixels")
    scene_cuts: bool = Field(True, description="forget earlier frames where a shot begins")
    overwrite: bool = Field(False, description="replace an output that exists")
    restart: bool = Field(False, description="discard what an earlier try has left")

    @field_validator("size", "fit", mode="before")
    @classmethod
    def typed(cls, size: Any) -> Any:
        """Width and height, which may come as ``1920x1080``."""
        return tuple(size.split("x")) if isinstance(size, str) else size

    @field_validator("audio_tracks", mode="before")
    @classmethod
    def several(cls, tracks: Any) -> Any:
        """Numbers or languages, which may come as ``1,eng``."""
        return tuple(tracks.split(",")) if isinstance(tracks, str) else tracks

    @field_validator("task")
    @classmethod
    def known(cls, task: str | None) -> str | None:
        """The task, which must be one of the table."""
        if task is not None:
            task_named(task)
        return task


class Making(BaseModel):
    """A preview: what it is of, how far it is, and the file that shows it when it is ready."""

    key: str  # of the settings and the seconds
    start: float | None = None  # seconds; None: in the middle
    state: Literal["waiting", "making", "ready", "failed"] = "waiting"
    done: int = 0  # frames
    total: int = 0
    pictures: int = 0  # how many were there so far; the last one can be shown
    error: str = ""


class Entry(BaseModel):
    """One job: what it is to do, how far it is, and what came of it."""

    model_config = ConfigDict(frozen=True)

    id: str = Field(default_factory=lambda: secrets.token_hex(8))
    name: str  # as people call the source
    source: Path
    target: Path
    owned: bool = False  # source and target lie in the job's own folder, and go with it
    order: Order = Field(default_factory=Order)
    weights: str | None = None  # in place of the task's own, by name or path; never of a page
    record: Path | None = None  # of one of many: the file that says what made its output
    stretch: dict[str, Any] | None = None  # of a film: only this is restored
    parts: list[dict[str, Any]] = []  # all stretches of a film, with targets: they are joined
    fingerprint: str = ""  # versions and weights that a worker must have; empty: any
    state: State = "new"
    rank: float = 0.0  # place in the queue
    worked: bool = False  # the work folder is its own; one that was there before is another's
    created: float = Field(default_factory=time.time)  # seconds since 1970
    changed: float = Field(default_factory=time.time)
    facts: dict[str, Any] | None = None  # of the source, and what becomes of it; see ``looking``
    network: str = ""  # proposed or used, and why
    why: str = ""
    plan: dict[str, Any] | None = None
    planning: bool = False
    preview: Making | None = None
    done: int = 0  # frames
    kept: int = 0  # of them, those that are on the disk: they are never restored again
    total: int | None = None
    fps: float | None = None  # frames a second, and seconds that are left
    left: float | None = None
    pictures: int = 0  # how many came so far; the last one can be shown
    said: list[str] = []  # warnings
    error: str = ""
    tries: int = 0  # that ended without a word
    summary: dict[str, Any] | None = None
    report: list[dict[str, str]] | None = None  # what was kept
    fidelity: dict[str, Any] | None = None

    def but(self, changes: dict[str, Any]) -> "Entry":
        """The same job with some values changed."""
        return self.model_copy(update=changes)


class QueueError(Exception):
    """A job cannot do what is asked of it now; the message is one sentence for the user."""


class RefusedError(QueueError):
    """No worker can be had for a question: another one would fare no better."""
