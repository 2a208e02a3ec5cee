"""restore: the same result whatever the windows, no more frames held than promised, no seams."""

import weakref
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import accumulate, pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from networks import TINY
from s2svr.checkpoint import load
from s2svr.models import PRESETS
from s2svr.models.pwclite import PWCLite
from s2svr.models.s2svr import S2SVR
from s2svr.restoration.cuts import find_cuts
from s2svr.restoration.frames import restore
from s2svr.restoration.tiles import (
    ALIGN,
    SMALLEST,
    Box,
    blend,
    core_box,
    cut_maps,
    join_maps,
    split_until,
)
from s2svr.restoration.windows import group_windows

BOTH_WAYS = replace(TINY, bidirectional=True, deep=True, warm=3)
CONFIGS = {
    "sr": TINY,
    "radius 2": replace(TINY, radius=2, flow=None),
    "unshuffled": replace(TINY, scale=1, down=4, flow_down=4),
}


def network(config: object) -> S2SVR:
    """A random network whose output and memory matter."""
    torch.manual_seed(0)
    model = S2SVR(config).eval()  # type: ignore[arg-type]
    g = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=g))
    return model


def clip(count: int, height: int = 24, width: int = 40, seed: int = 0) -> list[Tensor]:
    g = torch.Generator().manual_seed(seed)
    return list(torch.rand(count, 3, height, width, generator=g))


def at(*starts: int):  # noqa: ANN201
    """A cut detector that knows."""

    def cuts(frames: Iterable[Tensor]) -> Iterator[tuple[Tensor, bool]]:
        for index, frame in enumerate(frames):
            yield frame, index in starts

    return cuts


def whole(model: nn.Module, frames: list[Tensor]) -> Tensor:
    """The model called once on one shot."""
    with torch.inference_mode():
        return model(torch.stack(frames)[None])[0][0].clamp(0, 1)


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize(("count", "window"), [(1, 4), (7, 1), (7, 2), (9, 4), (5, 16)])
def test_windows_equal_the_whole_clip_bit_by_bit(name: str, count: int, window: int) -> None:
    model, frames = network(CONFIGS[name]), clip(count)
    got = torch.stack(list(restore(model, frames, window=window, cuts=None)))
    assert torch.equal(got, whole(model, frames))
    assert got.std() > 0.05


def test_shots_are_restored_as_if_alone() -> None:
    model, frames = network(TINY), clip(11)
    got = torch.stack(list(restore(model, frames, window=4, cuts=at(0, 3, 4))))
    parts = [whole(model, frames[a:b]) for a, b in ((0, 3), (3, 4), (4, 11))]
    assert torch.equal(got, torch.cat(parts))
    assert not torch.equal(got, whole(model, frames))


def test_windows_of_a_network_that_reads_both_ways_come_near() -> None:
    model, frames = network(BOTH_WAYS), clip(17)
    assert model.lookahead == 4
    wanted = whole(model, frames)

    def apart(window: int) -> Tensor:
        got = torch.stack(list(restore(model, frames, window=window, cuts=None)))
        return (got - wanted).abs().amax((1, 2, 3))

    assert not apart(13).any()  # all of the clip is seen at once
    assert 0 < apart(4).max() < 1e-4
    model.lookahead = 1
    assert apart(4).max() > 1e-3


def test_shots_of_a_network_that_reads_both_ways_do_not_see_each_other() -> None:
    model, frames = network(BOTH_WAYS), clip(11)
    got = torch.stack(list(restore(model, frames, window=7, cuts=at(0, 3, 4))))
    parts = [whole(model, frames[a:b]) for a, b in ((0, 3), (3, 4), (4, 11))]
    assert torch.equal(got, torch.cat(parts))


def test_real_cuts_are_found_on_the_way() -> None:
    model = network(TINY)
    one, two = ([f.mul(0.1).add(v) for f in clip(4, seed=s)] for s, v in ((1, 0.1), (2, 0.8)))
    one = [one[0]] * 4
    two = [torch.flip(one[0], (2,)).sub(0.1).mul(-5).add(0.8).clamp(0, 1)] * 4
    got = torch.stack(list(restore(model, [*one, *two], window=8)))
    assert torch.equal(got, torch.cat((whole(model, one), whole(model, two))))


@pytest.mark.parametrize("weights", ["sr-light", "sr-real", "one way"])
@pytest.mark.parametrize("what", ["flash", "black", "frozen", "all black"])
def test_odd_frames_do_no_lasting_harm(what: str, weights: str) -> None:
    wide = F.interpolate(torch.stack(clip(1, 6, 12)), scale_factor=4, mode="bicubic")[0]
    plain = [wide[..., t : t + 32].clamp(0, 1) for t in range(13)]
    odd, black = list(plain), torch.zeros(3, 24, 32)
    for t in range(4, 7):
        odd[t] = {"flash": 1 - black, "frozen": odd[3]}.get(what, black)
    if what == "all black":
        plain = odd = [black] * 13
    model = network(TINY) if weights == "one way" else load(weights)
    counted = []

    def cuts(frames: Iterable[Tensor]) -> Iterator[tuple[Tensor, bool]]:
        for frame, begins in find_cuts(frames):
            counted.append(begins)
            yield frame, begins

    wanted = torch.stack(list(restore(model, plain)))
    got = torch.stack(list(restore(model, odd, cuts=cuts)))
    assert got.isfinite().all()
    assert sum(counted) == 1
    if weights == "one way" or what == "all black":  # the others see them coming
        assert torch.equal(got[:3], wanted[:3])
    assert (got[0] - wanted[0]).abs().mean() < 0.5 / 255
    assert (got[-1] - wanted[-1]).abs().mean() < 0.5 / 255


@settings(deadline=None, max_examples=100)
@given(
    st.lists(st.booleans(), min_size=0, max_size=40),
    st.integers(1, 9),
    st.integers(0, 12),
)
def test_windows_cover_every_shot_once_and_never_reach_out(
    begins: list[bool], size: int, lookahead: int
) -> None:
    begins[:1] = [True] * len(begins[:1])
    shots = list(accumulate(begins))
    frames = [torch.tensor([i]) for i in range(len(begins))]
    covered: list[int] = []
    for window in group_windows(zip(frames, begins, strict=True), size, lookahead):
        numbers = [int(f) for f in window.frames]
        kept = numbers[: len(numbers) - window.ahead]
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
        assert len(numbers) <= size + lookahead
        assert len({shots[n] for n in numbers}) == 1
        assert kept
        assert window.first == (kept[0] == 0 or shots[kept[0]] != shots[kept[0] - 1])
        ends = numbers[-1] + 1 == len(shots) or shots[numbers[-1] + 1] != shots[numbers[-1]]
        assert window.ahead in (0, lookahead)
        assert window.ahead == lookahead or ends  # less is seen only at a shot's end
        covered += kept
    assert covered == list(range(len(begins)))


def test_memory_does_not_grow_with_length() -> None:
    alive: weakref.WeakSet[Tensor] = weakref.WeakSet()
    most = 0

    def source() -> Iterator[Tensor]:
        nonlocal most
        for value in range(60):
            frame = torch.full((3, 8, 8), value / 60)
            alive.add(frame)
            most = max(most, len(alive))
            yield frame
            del frame

    model = network(TINY)
    assert sum(1 for _ in restore(model, source(), window=5)) == 60
    assert most <= 5 + model.lookahead + 3  # one with the detector, one in hand on each side


class Memory(NamedTuple):
    sums: list[Tensor]
    last: Tensor


class Leaky(nn.Module):
    """A pixel-wise model with memory on grids of 1, 1/4 and x2, so that tiles are exact.

    It refuses inputs of more than ``most`` pixels, as a full GPU would.
    """

    scale, lookahead = 2, 1

    def __init__(self, most: int = 2**40) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(0.5))
        self.most = most
        self.error: RuntimeError = torch.OutOfMemoryError("CUDA out of memory")
        self.calls: list[tuple[int, ...]] = []

    def forward(
        self, x: Tensor, state: Memory | None = None, lookahead: int = 0
    ) -> tuple[Tensor, Memory]:
        self.calls.append(tuple(x.shape))
        if x.numel() > self.most:
            raise self.error
        h, w = x.shape[-2:]
        total = state.sums[0] if state else torch.zeros_like(x[:, 0])
        coarse = state.sums[1] if state else x.new_zeros(1, 1, -(-h // 4), -(-w // 4))
        last = state.last if state else x.new_zeros(1, 3, 2 * h, 2 * w)
        out = []
        for t in range(x.shape[1] - lookahead):
            ahead = x[:, t + 1] if t + 1 < x.shape[1] else x[:, t]
            total = self.weight * total + x[:, t] + 0.1 * ahead
            coarse = 0.5 * coarse + x[:, t, :1, ::4, ::4]
            fine = coarse.repeat_interleave(4, -2).repeat_interleave(4, -1)[..., :h, :w]
            large = (total + fine).repeat_interleave(2, -2).repeat_interleave(2, -1)
            last = 0.1 * large + 0.3 * last
            out.append(last)
        return torch.stack(out, 1), Memory([total, coarse], last)


def test_out_of_memory_is_answered_by_smaller_windows_exactly() -> None:
    frames, said = clip(13, 8, 8), []
    wanted = list(restore(Leaky(), frames, window=8, cuts=at(0, 9)))
    small = Leaky(most=3 * 64 * 4)
    got = list(restore(small, frames, window=8, cuts=at(0, 9), say=said.append))
    assert torch.equal(torch.stack(got), torch.stack(wanted))
    assert said == [f"out of memory, going on with windows of {n} frames" for n in (4, 2)]
    assert max(shape[1] for shape in small.calls[3:]) <= 3


def test_out_of_memory_in_mid_shot_is_answered_by_tiles_exactly() -> None:
    frames, said = clip(9, 150, 301), []
    wanted = torch.stack(list(restore(Leaky(), frames, window=2, cuts=at(0, 7))))
    model = Leaky()

    def fill(frames: list[Tensor]) -> Iterator[Tensor]:
        for index, frame in enumerate(frames):
            if index == 5:
                model.most = 3 * 150 * 192 * 2
            yield frame

    got = torch.stack(list(restore(model, fill(frames), window=2, cuts=at(0, 7), say=said.append)))
    assert torch.allclose(got, wanted, atol=1e-6)
    assert said == [
        "out of memory, going on with windows of 1 frames",
        "out of memory, going on with 2 tiles",
        "out of memory, going on with 3 tiles",
    ]


def test_out_of_memory_for_good_is_one_sentence() -> None:
    with pytest.raises(MemoryError, match="single frames in tiles of .* on another device"):
        list(restore(Leaky(most=10), clip(2, 200, 300), say=lambda line: None))


def test_other_allocators_count_too_and_other_errors_do_not() -> None:
    model = Leaky(most=3 * 64 * 2)
    for words in (
        "[enforce fail] DefaultCPUAllocator: can't allocate memory",
        "cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
        "CUDA error: out of memory",
    ):
        model.error, said = RuntimeError(words), []
        assert len(list(restore(model, clip(3, 8, 8), window=2, cuts=None, say=said.append))) == 3
        assert len(said) == 1
    model.error = RuntimeError("expected scalar type Half")
    with pytest.raises(RuntimeError, match="scalar type"):
        list(restore(model, clip(3, 8, 8), window=2, cuts=None))


def test_without_a_listener_the_fallback_is_a_warning() -> None:
    with pytest.warns(UserWarning, match="windows of 1 frames"):
        list(restore(Leaky(most=3 * 64 * 2), clip(3, 8, 8), window=2, cuts=None))


def test_given_tiles_are_exact_for_a_pixelwise_model() -> None:
    frames = clip(5, 200, 333)
    model = Leaky()
    got = torch.stack(list(restore(model, frames, tile=192, cuts=None)))
    assert torch.allclose(got, torch.stack(list(restore(Leaky(), frames, cuts=None))), atol=1e-6)
    assert max(max(shape[-2:]) for shape in model.calls) <= 192


class Trace(NamedTuple):
    x: list[Tensor]
    sum: Tensor


class Spreading(nn.Module):
    """Its memory spreads by a pixel a frame; its motion is the frame's mean, less the last's."""

    scale, lookahead = 1, 0

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((1, 1, 3, 3), 0.999 / 9))

    def forward(
        self, x: Tensor, state: Trace | None = None, lookahead: int = 0
    ) -> tuple[Tensor, Trace]:
        past = state.x if state else []
        return self.restore(
            x, self.flows([*past, *x.unbind(1)], x.shape[1], lookahead), state, lookahead
        )

    def flows(self, frames: list[Tensor], count: int, lookahead: int) -> list[Tensor | None]:
        means = [frame.mean((1, 2, 3), keepdim=True).expand_as(frame) for frame in frames]
        first = [None] if len(frames) == count else []
        return [*first, *(b - a for a, b in pairwise(means))]

    def restore(
        self, x: Tensor, flows: list[Tensor | None], state: Trace | None, lookahead: int
    ) -> tuple[Tensor, Trace]:
        total, out = state.sum if state else torch.zeros_like(x[:, 0, :1]), []
        for frame, o in zip(x.unbind(1), flows, strict=True):
            total = F.conv2d(F.pad(total, (1, 1, 1, 1), mode="replicate"), self.weight)
            total = total + 0.005 * frame[:, :1] + (0 if o is None else o[:, :1])
            out.append(total.expand_as(frame))
        return torch.stack(out, 1), Trace([x[:, -1]], total)


@pytest.mark.parametrize("whole_flow", [True, False])
def test_neither_motion_nor_memory_stops_at_a_tiles_edge(whole_flow: bool) -> None:
    frames = [f * torch.linspace(0, 1, 300) for f in clip(90, 16, 300)]
    wanted = torch.stack(list(restore(Spreading(), frames, cuts=None)))
    assert wanted.std() > 0.005
    model, said = Spreading(), []

    def flows(frames: list[Tensor], count: int, lookahead: int) -> list[Tensor | None]:
        if frames[0].shape[-1] == 300 and not whole_flow:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return Spreading.flows(model, frames, count, lookahead)

    model.flows = flows  # type: ignore[method-assign]
    got = torch.stack(list(restore(model, frames, tile=192, cuts=None, say=said.append)))
    assert torch.allclose(got, wanted, atol=1e-6) is whole_flow
    assert len(said) == (not whole_flow)
    assert all("going on with motion estimated in each tile" in line for line in said)


# Both ways: what is ahead is encoded in each tile by itself, so its edges are a little further off.
@pytest.mark.parametrize(
    ("weights", "levels"),
    [("sr-light", 1.2), ("sr-real", 2.0), ("deblur-light", 0.5), ("compression-light+", 0.5)],
)
def test_tiles_of_the_real_model_are_near_the_whole(weights: str, levels: float) -> None:
    wide = F.interpolate(torch.stack(clip(1, 8, 80)), scale_factor=4, mode="bicubic")[0]
    frames = [wide[..., 2 * t : 2 * t + 300].clamp(0, 1) for t in range(8)]
    model = load(weights)
    got = torch.stack(list(restore(model, frames, window=4, tile=192, cuts=None)))
    difference = (got - whole(model, frames)).abs()
    assert 0 < difference.max() < levels / 255
    assert (difference > 0.5 / 255).float().mean() < 1e-4
    assert difference.mean() < 0.01 / 255


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 700), st.integers(1, 700), st.integers(SMALLEST, 400))
def test_parts_cover_the_frame_and_are_aligned(height: int, width: int, size: int) -> None:
    frame = Box(0, 0, height, width)
    parts = split_until(frame, size)
    seen = np.zeros((height, width), int)
    for box in parts:
        assert max(box.height, box.width) <= size
        assert box.top % ALIGN == box.left % ALIGN == 0
        assert box.bottom % ALIGN == 0 or box.bottom == height
        assert box.right % ALIGN == 0 or box.right == width
        seen[box.top : box.bottom, box.left : box.right] += 1
    assert seen.min() >= 1
    pieces = ((box, torch.full((1, 3, box.height, box.width), 0.25)) for box in parts)
    assert torch.allclose(blend(pieces, frame, 1), torch.tensor(0.25))


def test_maps_are_cut_and_joined_on_every_grid() -> None:
    box = Box(16, 32, 16 + 270, 32 + 401)
    rows, columns = torch.meshgrid(torch.arange(1080), torch.arange(1604), indexing="ij")
    codes = (rows * 10_000 + columns)[None, None]
    state = Memory([codes[..., :270, :401], codes[..., :68, :101]], codes)
    kept = []
    for part in split_until(box, 224):
        top, left = part.top - 16, part.left - 32
        got = cut_maps(state, box, part)
        assert isinstance(got, Memory)
        for one, unit in ((got.sums[0], 1), (got.sums[1], 0.25), (got.last, 4)):
            assert one.shape[-2:] == (
                int(-(-part.height * unit // 1)),
                int(-(-part.width * unit // 1)),
            )
            assert one[0, 0, 0, 0] == top * unit * 10_000 + left * unit
        kept.append((core_box(part, box), cut_maps(got, part, core_box(part, box))))
    assert len(kept) == 8
    assert sum(part.height * part.width for part, _ in kept) == box.height * box.width
    whole = join_maps(kept, box)
    assert isinstance(whole, Memory)
    for one, wanted in zip([*whole.sums, whole.last], [*state.sums, state.last], strict=True):
        assert torch.equal(one, wanted)
    assert cut_maps([None], box, box) == [None]
    assert join_maps([(box, [None])], box) == [None]
    with pytest.raises(ValueError, match="expected a memory on a grid of 270 pixels, got 7 cells"):
        cut_maps(torch.zeros(1, 1, 7, 401), box, box)


def test_nothing_comes_of_nothing_and_nothing_is_read_before_it_is_asked_for() -> None:
    assert list(restore(Leaky(), [])) == []

    def never() -> Iterator[Tensor]:
        raise AssertionError
        yield

    restore(Leaky(), never())


def test_gradients_stay_on_outside() -> None:
    for _ in restore(Leaky(), clip(2, 8, 8)):
        assert torch.is_grad_enabled()
        assert not torch.is_inference_mode_enabled()


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (torch.zeros(1, 3, 4, 4), r"expected frames \(3, H, W\) of floats.*one by one"),
        (torch.zeros(5, 4, 6), r"got \(5, 4, 6\) of torch.float32: take three planes"),
        (torch.zeros(4, 4), r"got \(4, 4\) of torch.float32: a single frame is given as \[frame\]"),
        (torch.zeros(3, 0, 4), r"got \(3, 0, 4\)"),
        (torch.zeros(3, 4, 4, dtype=torch.uint8), "got .* of torch.uint8: frame / 255 is one"),
        (torch.zeros(3, 4, 4, dtype=torch.int64), "got .* of torch.int64"),
        (torch.zeros(3, 4, 5), r"expected all frames of one size \(3, 4, 4\), got \(3, 4, 5\)"),
        (
            np.zeros((4, 5, 3), np.uint8),
            r"a numpy array \(4, 5, 3\) of uint8: "
            r"torch.from_numpy\(frame\).permute\(2, 0, 1\) / 255 is one",
        ),
        (np.zeros((3, 4, 4)), r"of float64: torch.from_numpy\(frame\) is one"),
        (np.zeros((4, 5, 4), np.uint16), r"\[..., :3\].permute\(2, 0, 1\) / 65535 is one"),
        ("in.mp4", "got a str: read_clip reads files"),
        (torch.full((3, 4, 4), 200.0), "got values from 200 to 200: divide them by 255"),
        (torch.linspace(-1, 1, 48).view(3, 4, 4), "got values from -1 to 1: scale them"),
        (torch.full((3, 4, 4), torch.nan), "not finite in frame 1"),
        (torch.full((3, 4, 4), torch.inf), "not finite in frame 1"),
    ],
)
def test_wrong_frames_are_refused(frame: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        list(restore(Leaky(), [torch.zeros(3, 4, 4), frame]))


def test_a_path_in_place_of_frames_is_refused() -> None:
    with pytest.raises(ValueError, match=r"one by one, got a PosixPath: read_clip"):
        restore(Leaky(), Path("in.mp4"))  # type: ignore[arg-type]


def test_what_is_advised_makes_a_frame_and_other_floats_are_taken() -> None:
    codes = np.arange(60, dtype=np.uint8).reshape(4, 5, 3)
    frame = torch.from_numpy(codes).permute(2, 0, 1) / 255
    wanted = list(restore(Leaky(), [frame]))
    assert torch.equal(wanted[0], next(restore(Leaky(), [frame.double()])))
    list(restore(Leaky(), [torch.full((3, 4, 4), 1.3), torch.full((3, 4, 4), -0.3)]))  # overshoot


class Broken(nn.Module):
    """Returns its frames, times the weight: as damaged weights or a broken driver may."""

    scale, lookahead = 1, 0

    def __init__(self, weight: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(weight))

    def forward(self, x: Tensor, state: None = None, lookahead: int = 0) -> tuple[Tensor, None]:
        return x * self.weight, None


@pytest.mark.parametrize(
    ("weight", "found"),
    [
        (float("nan"), "is not finite"),
        (float("inf"), "is not finite"),
        (0.0, "is black where the source is not"),
        (-1.0, "is black where the source is not"),
    ],
)
def test_results_that_are_no_pictures_stop_at_once(weight: float, found: str) -> None:
    asked = []

    def frames() -> Iterator[Tensor]:
        for frame in clip(40, 8, 8):
            asked.append(frame)
            yield frame

    with pytest.raises(FloatingPointError, match=f"made {found}: its weights are damaged"):
        list(restore(Broken(weight), frames(), window=4))
    assert len(asked) < 12


def test_black_frames_and_faint_ones_are_pictures() -> None:
    star = torch.zeros(3, 24, 24)
    star[:, 3, 3] = 1
    for frame in (torch.zeros(3, 8, 8), torch.full((3, 8, 8), 0.01), star):
        assert torch.equal(next(restore(Broken(1.0), [frame])), frame)
    assert float(next(restore(Broken(0.0), [star])).max()) == 0  # nearly black: it may be noise


def test_wrong_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="window of at least 1 frame, got 0"):
        restore(Leaky(), [], window=0)
    with pytest.raises(ValueError, match="tiles of at least 192 pixels, got 64"):
        restore(Leaky(), [], tile=64)
    with pytest.raises(ValueError, match="expected a restoration model, got a PWCLite"):
        restore(PWCLite(PRESETS["flow-light"]), [])
