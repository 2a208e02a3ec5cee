"""Writing of frames to a video file with the sound and tags of its source."""

from pathlib import Path
from typing import Self

from ..files import share_file
from ..media import Frame, Reader
from .begins import gray_frame, small_coding
from .codecs import choose_coding, picture_losses
from .encoder import TimeStamps, VideoEncoder
from .mux import holds_all_tracks, keep_held_tracks, mux, mux_begin, write_aspect
from .omissions import find_omissions
from .packets import holds_messages, lost_messages, lost_photo_tags, read_packet_files
from .protocol import OutputFormat, Position
from .sound import settle_sound
from .sphere import sphere_losses
from .tracks import Companions
from .workfolder import FRESH, WorkFolder, WorkPolicy


class VideoWriter:
    """Encodes the frames it is given; sound, subtitles, chapters and tags come from the reader.

    The file appears under its name when the ``with`` block ends without an exception. The video is
    made in segments, each by an encoder of its own, so that none needs what another knows.
    """

    def __init__(
        self,
        path: Path,
        *,
        reader: Reader,
        output: OutputFormat,
        policy: WorkPolicy = FRESH,
        comment: str = "",
    ) -> None:
        self.path, self.reader, self.comment = path, reader, comment
        self.coding = choose_coding(reader.info, reader.display, path.suffix, output)
        self.warnings = picture_losses(self.coding, reader.info) + sphere_losses(self.coding)
        self.color, self.chroma = self.coding.color, self.coding.chroma
        self.stamps = TimeStamps(self.coding, reader.shift)
        self.segments = 0  # number of those begun
        self.lost_tags: dict[str, None] = {}  # of images
        self.companions: Companions | None = None
        self.encoder: VideoEncoder | None = None
        self.work = WorkFolder(path, policy)
        try:
            if reader.info.kind == "video":
                self.companions = Companions(reader, self.coding.container, output.sound)
                if not holds_all_tracks(self.coding, self.companions):
                    keep_held_tracks(self.coding, self.companions)
                self.warnings += self.companions.warnings
            self.rehearse()
        except BaseException:
            self.discard()
            raise

    def rehearse(self) -> None:
        """Write the file with one frame and the begin of each track, and remove it again.

        What encoders, container or file system refuse is refused here, before a frame is restored.
        The encoder is opened once in the size of the output; the frame is a small one.
        """
        place = self.work.folder / "rehearsal.packets"
        small = small_coding(self.coding)
        with self.work.errors():
            self.encoder = VideoEncoder(place, small, TimeStamps(small, self.reader.shift))
            self.encoder.write(gray_frame(small))
            self.encoder.close()
            self.encoder = None
            packets = read_packet_files([place], self.coding.time_base, self.coding.container)
            try:
                mux_begin(
                    self.work.product, self.coding, packets, self.companions, comment=self.comment
                )
            finally:
                place.unlink()
                self.work.product.unlink(missing_ok=True)

    def write(self, frame: Frame) -> None:
        """Encode the next frame, in ``color`` and ``chroma``."""
        with self.work.errors():
            if self.encoder is None:
                self.begin_segment()
            assert self.encoder is not None
            self.encoder.write(frame)
        self.lost_tags |= dict.fromkeys(frame.tags.names)

    def begin_segment(self) -> None:
        """Open the next encoder. Raises MediaError where it does not open."""
        with self.work.errors():
            self.encoder = VideoEncoder(self.packet_path(self.segments), self.coding, self.stamps)
        self.segments += 1

    def end_segment(self) -> Position:
        """Wait until all frames so far are encoded and on the disk; return how far that is."""
        with self.work.errors():
            if self.encoder is not None:
                self.encoder.close()
            self.encoder = None
        stamps, lost = self.stamps, tuple(self.lost_tags)
        return Position(stamps.count, self.segments, stamps.last, stamps.moved, lost)

    def go_on(self, position: Position) -> None:
        """Continue after the segments that the work folder holds; before the first ``write``."""
        self.stamps.count, self.segments, self.stamps.last, self.stamps.moved, lost = position
        self.lost_tags = dict.fromkeys(lost)

    def adopt(self, folder: Path, position: Position) -> None:
        """Continue after the segments of another writer's work folder, which stays as it is."""
        with self.work.errors():
            for segment in range(position.segments):
                place = self.packet_path(segment)
                share_file(folder / place.name, place)
        self.go_on(position)

    def packet_path(self, segment: int) -> Path:
        """Path of a segment's packets."""
        return self.work.folder / f"{segment:06d}.packets"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        try:
            if kind is None:
                self.finish()
        finally:
            self.discard()

    def finish(self) -> None:
        """Join the video with everything else and move the file to its name."""
        if self.stamps.moved:
            self.warnings.append(
                f"{self.stamps.moved} time stamps did not grow and were moved forward"
            )
        self.warnings += lost_photo_tags(self.lost_tags, "a video")
        if not holds_messages(self.coding.codec):
            self.warnings += lost_messages(self.reader, self.coding.codec)
        comment = "; ".join(filter(None, (self.comment, *self.reader.damage)))
        self.end_segment()
        if self.companions is not None:
            self.warnings += settle_sound(self.companions)
        with self.work.errors():
            packets = read_packet_files(
                map(self.packet_path, range(self.segments)),
                self.coding.time_base,
                self.coding.container,
            )
            mux(self.work.product, self.coding, packets, self.companions, comment=comment)
        if self.companions is not None:
            self.warnings += self.companions.given_ends()
        self.warnings += write_aspect(self.work.product, self.coding)
        if self.companions is not None:
            self.warnings += find_omissions(self.work.product, self.companions, self.reader.damage)
        if self.companions is not None and self.companions.refused:
            self.reader.damage.append(
                f"packets of sound or subtitles that are broken: {self.companions.refused}"
            )
        self.work.publish()

    def discard(self) -> None:
        """Close everything that is open, and remove what is not finished."""
        if self.encoder is not None:
            self.encoder.packets.abandon()
        if self.companions is not None:
            self.companions.close()
        self.work.discard()
