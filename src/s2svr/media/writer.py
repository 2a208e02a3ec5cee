"""Frames -> a video file with the sound and tags of its source."""

from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from .beside import Beside
from .coding import choose, losses
from .encode import Encoder
from .frame import Frame, Reader
from .lost import lost
from .mux import fit, mux, show_aspect
from .tracks import Companions


class VideoWriter:
    """Encodes the frames it is given; sound, subtitles, chapters and tags come from the reader.

    The file appears under its name when the ``with`` block ends without an exception.
    """

    def __init__(
        self,
        path: Path,
        *,
        reader: Reader,
        width: int,
        height: int,
        bits: int | None = None,
        codec: str | None = None,
        crf: int | None = None,
        overwrite: bool = False,
        comment: str | None = None,
    ) -> None:
        self.path, self.reader, self.comment = path, reader, comment or ""
        self.coding = choose(
            reader.info, reader.display, path.suffix, width=width, height=height,
            bits=bits, codec=codec, crf=crf,
        )  # fmt: skip
        self.warnings = losses(self.coding, reader.info)
        self.color, self.chroma = self.coding.color, self.coding.chroma
        self.companions: Companions | None = None
        self.beside = Beside(path, overwrite=overwrite)
        try:
            with self.beside.errors():
                spool = self.beside.folder / "video.packets"
                self.encoder = Encoder(spool, self.coding, shift=reader.shift)
            if reader.info.kind == "video":
                self.companions = Companions(reader, self.coding.container)
                self.warnings += self.companions.warnings
                if not fit(self.coding, self.companions):
                    self.warnings.append("sound and subtitles are left out: they are broken")
                    self.companions.routes.clear()
        except BaseException:
            self.discard()
            raise

    def write(self, frame: Frame) -> None:
        """Take the next frame, in ``color`` and ``chroma``."""
        with self.beside.errors():
            self.encoder.write(frame)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if kind is None:
                self.finish()
        finally:
            with suppress(OSError):  # of a full disk, which has been said already
                self.encoder.spool.close()
            self.discard()

    def finish(self) -> None:
        """Join the video with everything else and give the file its name."""
        if self.encoder.moved:
            self.warnings.append(
                f"{self.encoder.moved} time stamps did not grow and were moved forward"
            )
        comment = "; ".join(filter(None, (self.comment, *self.reader.damage)))
        with self.beside.errors():
            self.encoder.close()
            packets = self.encoder.spool.packets()
            mux(self.beside.product, self.coding, packets, self.companions, comment=comment)
        self.warnings += show_aspect(self.beside.product, self.coding)
        if self.companions is not None:
            self.warnings += lost(self.beside.product, self.companions)
        if self.companions is not None and self.companions.refused:
            self.warnings.append(
                f"{self.companions.refused} broken packets of sound or subtitles are left out"
            )
        self.beside.keep()

    def discard(self) -> None:
        """Remove everything that is not finished."""
        if self.companions is not None:
            self.companions.close()
        self.beside.discard()
