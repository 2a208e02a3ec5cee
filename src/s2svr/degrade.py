"""High-quality clips -> low-quality ones: the damage that the three tasks undo."""

import io
from collections.abc import Callable
from fractions import Fraction

import av
import torch
from av.video.stream import VideoStream
from torch import Generator, Tensor

from .color import ColorInfo, from_rgb, to_rgb
from .data.clips import Pair
from .media.planes import from_picture, to_picture
from .ops import resize_bicubic

Degradation = Callable[[Tensor, Generator], Pair]

# A flat-QP stand-in for HM's low-delay P: no B-frames, no rate control, no psychovisual tuning.
X265 = (
    "qp={qp}:bframes=0:keyint=-1:scenecut=0:ref=4:rc-lookahead=0:no-weightp=1:cutree=0:"
    "aq-mode=0:ipratio=1:psy-rd=0:psy-rdoq=0:log-level=none"
)
BT709 = ColorInfo("bt709")


def quantised(clip: Tensor) -> Tensor:
    """Rounded to the 256 levels that a file would hold."""
    return (clip.clamp(0, 1) * 255).round() / 255


def cut_to_multiple(clip: Tensor, multiple: int) -> Tensor:
    """The upper left part whose sides divide by ``multiple``."""
    height, width = (side - side % multiple for side in clip.shape[-2:])
    return clip[..., :height, :width]


def bicubic_down(clip: Tensor, generator: Generator | None = None) -> Pair:
    """MATLAB's bicubic reduction by 4 (BI), rounded; (T, 3, H, W), cut to sides divisible by 4."""
    hq = cut_to_multiple(clip, 4)
    return Pair(quantised(resize_bicubic(hq, 1 / 4)), hq)


def blur(clip: Tensor, frames: int, gamma: float = 2.2) -> Pair:
    """Motion blur: each frame the mean in linear light of the ``frames`` (odd) around it.

    (T, 3, H, W) -> pairs of T - frames + 1; the truth is the middle frame (Nah et al., 2017).
    """
    if frames % 2 == 0 or frames > len(clip):
        raise ValueError(f"expected an odd count of at most {len(clip)} frames, got {frames}")
    linear = clip.clamp(0, 1) ** gamma
    mean = linear.unfold(0, frames, 1).mean(-1)
    half = frames // 2
    return Pair(quantised(mean ** (1 / gamma)), clip[half : len(clip) - half])


def motion_blur(clip: Tensor, generator: Generator) -> Pair:
    """``blur`` over 5, 7, 9 or 11 frames, or as many as the clip allows, drawn at random."""
    choices = [n for n in (5, 7, 9, 11) if n < len(clip)] or [1]
    return blur(clip, choices[int(torch.randint(len(choices), (), generator=generator))])


def through_codec(clip: Tensor, codec: str, options: dict[str, str]) -> Tensor:
    """Encode RGB frames (T, 3, H, W) as 8-bit 4:2:0 BT.709 in memory, and decode them again."""
    height, width = clip.shape[-2:]
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="nut") as container:
        stream = container.add_stream(codec, rate=Fraction(25), options=options)
        assert isinstance(stream, VideoStream)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for t, frame in enumerate(clip):
            picture = to_picture(from_rgb(frame, BT709, (2, 2)), "yuv420p")
            picture.pts, picture.time_base = t, Fraction(1, 25)
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    buffer.seek(0)
    with av.open(buffer, "r", format="nut") as coded:
        decoded = [to_rgb(from_picture(p), BT709) for p in coded.decode(video=0)]
    if len(decoded) != len(clip):
        raise RuntimeError(f"expected {len(clip)} frames from {codec}, got {len(decoded)}")
    return quantised(torch.stack(decoded))


def hevc(clip: Tensor, qp: int) -> Pair:
    """HEVC by x265 at a fixed QP: a stand-in for HM's low delay, not HM itself."""
    hq = cut_to_multiple(clip, 4)
    return Pair(through_codec(hq, "libx265", {"x265-params": X265.format(qp=qp)}), hq)


def h264(clip: Tensor, crf: int) -> Pair:
    """H.264 by x264 at a constant rate factor, as web video is."""
    hq = cut_to_multiple(clip, 4)
    return Pair(through_codec(hq, "libx264", {"crf": str(crf), "preset": "medium"}), hq)


def compress_hevc(clip: Tensor, generator: Generator) -> Pair:
    """``hevc`` at a QP of 27 to 42, drawn at random for the clip."""
    return hevc(clip, int(torch.randint(27, 43, (), generator=generator)))


DEGRADATIONS: dict[str, Degradation] = {
    "bicubic": bicubic_down,
    "blur": motion_blur,
    "hevc": compress_hevc,
}
