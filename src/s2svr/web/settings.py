"""Settings of the server."""

from dataclasses import dataclass
from pathlib import Path

LOCAL = "127.0.0.1"


@dataclass(frozen=True)
class ServeSettings:
    """The place, the limits and the doors of a server."""

    folder: Path  # of uploads, jobs and results
    root: Path | None = None  # whose videos may be picked
    host: str = LOCAL
    port: int = 0
    names: tuple[str, ...] = ()  # other hosts that the page is reached by
    token: str = ""  # that every call has to bring; empty: none, of this machine alone
    max_upload: int = 64 << 30  # bytes of one upload
    keep: float = 7 * 86400.0  # seconds after which jobs go that have ended or never began
    device: str = "auto"  # of jobs that name none

    @property
    def public(self) -> bool:
        """True if others than this machine may call: by its address, or through a proxy."""
        return self.host != LOCAL or bool(self.names)
