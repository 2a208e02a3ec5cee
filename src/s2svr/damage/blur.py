"""Motion blur: the mean of the light that comes in while a shutter is open."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from functools import cache

import torch
from torch import Generator, Tensor

from ..checkpoint import load
from ..data import Pair
from ..ops import quantised, resize_bicubic, resize_flow, warp

GAMMA = 2.2  # light = code ** GAMMA, as GoPro's makers assumed (Nah et al., 2017)
SUBFRAMES = 8  # pictures between two frames, real one included
FLOW = "flow-light-teacher"  # moves the pictures between real frames
FlowNet = Callable[[Tensor, Tensor], Tensor]


def blur_clip(clip: Tensor, frames: int, *, step: int = 1, gamma: float = GAMMA) -> Pair:
    """Means in linear light of ``frames`` consecutive frames, an odd number, at every ``step``.

    (T', 3, H, W) -> a pair of (T' - frames) // step + 1 frames; the truth is the middle frame of
    each mean. With a step of ``frames``, the clip holds the sub-frames of a source at a high rate
    (Nah et al., 2017). Raises ValueError for an even number, or more frames than there are.
    """
    if frames % 2 == 0 or not 1 <= frames <= len(clip):
        raise ValueError(f"expected an odd count of at most {len(clip)} frames, got {frames}")
    linear = clip.clamp(0, 1) ** gamma
    mean = linear.unfold(0, frames, step).mean(-1)
    half = frames // 2
    return Pair(quantised(mean ** (1 / gamma)), clip[half : len(clip) - half : step])


def motion_blur(clip: Tensor, generator: Generator) -> Pair:
    """``blur_clip`` over 5, 7, 9 or 11 frames: a number below the clip's length, drawn at random.

    A clip of 5 frames or less stays as it is.
    """
    choices = [n for n in (5, 7, 9, 11) if n < len(clip)] or [1]
    return blur_clip(clip, choices[int(torch.randint(len(choices), (), generator=generator))])


def random_exposure(clip: Tensor, generator: Generator) -> Pair:
    """``blur_clip`` that makes one frame of 7, 9, 11, 13 or 15, a number drawn at random.

    The clip holds the sub-frames of a source at a high rate; one of less than 7 stays as it is.
    """
    choices = [n for n in (7, 9, 11, 13, 15) if n <= len(clip)] or [1]
    frames = choices[int(torch.randint(len(choices), (), generator=generator))]
    return blur_clip(clip, frames, step=frames)


def blur_stream(frames: Iterable[Tensor], count: int, gamma: float = GAMMA) -> Iterator[Tensor]:
    """Frames (3, H, W) averaged in linear light over ``count`` around each, an odd number.

    Towards the ends of the stream fewer are averaged, so that no frame is lost. Raises ValueError
    for an even count.
    """
    if count % 2 == 0 or count < 1:
        raise ValueError(f"expected an odd count of frames, got {count}")
    half = count // 2
    held: deque[Tensor] = deque(maxlen=count)  # frames t - half to t + half, in linear light

    def around(place: int, reach: int) -> Tensor:
        near = [held[i] for i in range(place - reach, place + reach + 1)]
        return quantised((sum(near[1:], near[0]) / len(near)) ** (1 / gamma))

    seen = 0
    for frame in frames:
        held.append(frame.clamp(0, 1) ** gamma)
        seen += 1
        if seen > half:
            place = len(held) - 1 - half
            yield around(place, min(half, place))
    for rest in range(min(half, seen) - 1, -1, -1):
        place = len(held) - 1 - rest
        yield around(place, min(rest, place))


def shutter(clip: Tensor, generator: Generator) -> Pair:
    """A clip (T', 3, H, W) blurred in one of two ways, with equal chance, for trainings.

    Either ``blur_by_shutter`` with the bundled flow, open for 0.75 to 4 frames, or ``motion_blur``,
    which also takes all clips of less than 7 frames.
    """
    if len(clip) < 7 or torch.rand((), generator=generator) < 0.5:
        return motion_blur(clip, generator)
    opening = 0.75 + 3.25 * float(torch.rand((), generator=generator))
    return blur_by_shutter(clip, opening, bundled_flow(clip.device))


@cache
def bundled_flow(device: torch.device) -> FlowNet:
    """The bundled flow network on a device."""
    return load(FLOW).requires_grad_(False).to(device)


def blur_by_shutter(clip: Tensor, opening: float, flow: FlowNet) -> Pair:
    """Motion blur by a shutter that is open for ``opening`` frames around each frame.

    Between frames, pictures are interpolated along the flow, which is estimated at half size.
    (T', 3, H, W) -> a pair without the frames at both ends, which lack neighbours; the truth is the
    frame itself. Raises ValueError where the clip is too short or the opening too small.
    """
    half = round(opening * SUBFRAMES / 2)  # sub-frames on each side
    reach = -(-half // SUBFRAMES)  # in frames
    if half < 1 or len(clip) < 2 * reach + 1:
        raise ValueError(
            f"expected at least {2 * reach + 1} frames for a shutter open for {opening} frames, "
            f"and an opening of {1 / SUBFRAMES} or more, got {len(clip)} frames"
        )
    light: deque[Tensor] = deque(maxlen=2 * half + 1)
    lq = []
    for index, picture in enumerate(interpolated(clip, flow)):
        light.append(picture.clamp(0, 1) ** GAMMA)
        middle = index - half
        if middle % SUBFRAMES == 0 and reach <= middle // SUBFRAMES < len(clip) - reach:
            mean = sum(list(light)[1:], light[0]) / len(light)
            lq.append(quantised(mean ** (1 / GAMMA)))
    return Pair(torch.stack(lq), clip[reach : len(clip) - reach])


def interpolated(clip: Tensor, flow: FlowNet) -> Iterator[Tensor]:
    """The frames of a clip with SUBFRAMES - 1 interpolated ones after each but the last.

    As Super SloMo (https://arxiv.org/abs/1712.00080, Eq. 4) moves them: along a quadratic mix of
    both flows, blended by nearness in time.
    """
    for a, b in zip(clip[:-1, None], clip[1:, None], strict=True):
        small = [resize_bicubic(frame, 0.5) for frame in (a, b)]
        size = (a.shape[-2], a.shape[-1])
        there, back = (
            resize_flow(flow(one, other), size) for one, other in (small, reversed(small))
        )
        yield a[0]
        for k in range(1, SUBFRAMES):
            t = k / SUBFRAMES
            to_a = -(1 - t) * t * there + t * t * back
            to_b = (1 - t) ** 2 * there - t * (1 - t) * back
            yield ((1 - t) * warp(a, to_a) + t * warp(b, to_b))[0]
    yield clip[-1]
