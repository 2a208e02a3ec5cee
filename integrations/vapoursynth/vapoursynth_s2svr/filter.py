"""The filter: frames restored in order, with what was remembered of those before."""

import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import torch
import vapoursynth as vs
from torch import Tensor, nn

from s2svr.checkpoint import load
from s2svr.coarseness import with_coarseness
from s2svr.devices import choose_device, choose_precision
from s2svr.restoration import find_cuts
from s2svr.restoration import restore as restore_frames
from s2svr.tasks import task_named

from .frames import check_format, to_tensor, write_planes

CUT = "_SceneChangePrev"


class Restored:
    """The restored frames of a clip by their numbers; memory goes on from each to the next.

    A number that does not follow begins ``warm_up`` frames earlier, or at the cut between, so that
    something is remembered. Frames that VapourSynth asks for in another order than their own are
    kept for a while.
    """

    def __init__(
        self,
        clip: vs.VideoNode,
        model: nn.Module,
        *,
        window: int,
        tile: int | None,
        warm_up: int,
        find: bool,
        device: torch.device,
        dtype: torch.dtype,
    ) -> None:
        self.clip, self.model, self.warm_up, self.find = clip, model, warm_up, find
        self.window, self.tile, self.device, self.dtype = window, tile, device, dtype
        self.lock = threading.Lock()
        self.kept: OrderedDict[int, Tensor] = OrderedDict()
        self.room = vs.core.num_threads + 4  # frames that may be asked for at once, and some
        self.next = 0  # number of the next frame of ``run``
        self.run: Iterator[Tensor] = iter(())
        self.running = False

    def frame(self, number: int) -> Tensor:
        """The restored frame (3, sH, sW)."""
        with self.lock:
            if number not in self.kept:
                reach = max(self.warm_up, self.window + self.room)
                if not (self.running and 0 <= number - self.next <= reach):
                    self.begin(max(0, number - self.warm_up))
                while self.next <= number:
                    self.running = False  # an error ends it, and the next request begins anew
                    self.kept[self.next] = next(self.run)
                    self.next, self.running = self.next + 1, True
                while len(self.kept) > self.room:
                    self.kept.popitem(last=False)
            return self.kept[number]

    def begin(self, first: int) -> None:
        """Begin anew with a frame, without memory."""
        self.kept.clear()
        self.next, self.running = first, True
        self.run = restore_frames(
            self.model,
            self.source(first),
            window=self.window,
            tile=self.tile,
            device=self.device,
            dtype=self.dtype,
            cuts=self.cuts,
            say=self.say,
        )

    def source(self, first: int) -> Iterator[Tensor]:
        """The clip's frames from one on; ``marks`` notes which of them are said to begin a shot."""
        self.marks: deque[bool | None] = deque()
        for number in range(first, self.clip.num_frames):
            with self.clip.get_frame(number) as frame:
                mark = frame.props.get(CUT)
                self.marks.append(None if mark is None else bool(mark))
                rgb = to_tensor(frame)
            yield rgb

    def cuts(self, frames: Iterable[Tensor]) -> Iterator[tuple[Tensor, bool]]:
        """The frames, each with whether it begins a shot: by its property, or else by its looks."""
        finder: Callable[[Iterable[Tensor]], Iterator[tuple[Tensor, bool]]] = (
            find_cuts if self.find else unmarked
        )
        for index, (frame, found) in enumerate(finder(frames)):
            mark = self.marks.popleft()
            yield frame, index == 0 or (found if mark is None else mark)

    def say(self, line: str) -> None:
        """Tell VapourSynth's log what is to be told."""
        vs.core.log_message(vs.MESSAGE_TYPE_WARNING, f"s2svr.restore: {line}")


def unmarked(frames: Iterable[Tensor]) -> Iterator[tuple[Tensor, bool]]:
    """The frames of one shot."""
    for frame in frames:
        yield frame, False


def restore(
    clip: vs.VideoNode,
    task: str = "sr",
    *,
    weights: str | None = None,
    quality: str = "fast",
    device: str = "auto",
    precision: str = "auto",
    window: int = 16,
    tile: int | None = None,
    warm_up: int = 16,
    scene_cuts: bool = True,
    decoded_from: str | None = None,
) -> vs.VideoNode:
    """Restore a clip: in its own format, four times as large where the task enlarges.

    task, weights, quality (fast or best), device, precision, window (frames) and tile (pixels) are
    those of ``s2svr restore``. A frame that is asked for out of order is restored after ``warm_up``
    frames before it. Memory begins anew where a frame's _SceneChangePrev is 1; where frames have no
    such property, ``scene_cuts`` looks for cuts. Raises vs.Error for clips whose format or size
    varies or is not known, and for unknown tasks, weights and devices.
    """
    check_format(clip)
    try:
        asked = task_named(task)
        if quality not in ("fast", "best"):
            raise ValueError(f"expected the quality fast or best, got {quality!r}")
        if window < 1 or warm_up < 0:
            raise ValueError(
                f"expected a window of 1 frame or more and a warm-up of 0 or more, got {window} "
                f"and {warm_up}"
            )
        name = weights or (asked.best if quality == "best" and asked.best else asked.weights)
        model = load(name, task=task)
        if decoded_from is not None:
            if not Path(decoded_from).is_file():
                raise ValueError(f"expected the file of the clip, got {decoded_from}")
            model = with_coarseness(model, Path(decoded_from))
        place = choose_device(device)
        dtype = choose_precision(precision, place)
    except (ValueError, OSError) as error:
        raise vs.Error(f"s2svr.restore: {error}") from None
    restored = Restored(
        clip, model, window=window, tile=tile, warm_up=warm_up, find=scene_cuts, device=place,
        dtype=dtype,
    )  # fmt: skip
    scale = int(model.scale)  # type: ignore[arg-type]
    blank = vs.core.std.BlankClip(
        clip, width=clip.width * scale, height=clip.height * scale, keep=True
    )

    def fill(n: int, f: list[vs.VideoFrame]) -> vs.VideoFrame:
        made = f[0].copy()
        write_planes(restored.frame(n), f[1], made)
        for key in list(made.props):
            del made.props[key]
        made.props.update(f[1].props)
        return made

    return vs.core.std.ModifyFrame(blank, [blank, clip], fill)
