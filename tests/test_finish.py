"""Strength and grain: shares and noise levels worked out by hand; the same however it is made."""

from fractions import Fraction
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from media_clips import make_video
from s2svr.color import from_rgb, to_open_rgb
from s2svr.finish import Finish, finished, noise_level
from s2svr.media import MediaError, open_reader
from s2svr.ops import resize_bicubic, resize_to
from s2svr.restoration import Compute, Encoding, Excerpt, Job, preview_video, restore_video
from s2svr.restoration.pipeline import Stopped

SIGMA = 0.03


class Smooth(nn.Module):
    """Enlarged twice, without noise and a little brighter; remembers nothing."""

    scale, lookahead = 2, 0

    def forward(
        self, x: Tensor, memory: None = None, lookahead: int = 0
    ) -> tuple[Tensor, tuple[()]]:
        flat = x.flatten(-2).mean(-1)[..., None, None]
        return (flat + 0.1).expand(*x.shape[:3], 2 * x.shape[-2], 2 * x.shape[-1]).clone(), ()


def noise(seed: int, size: tuple[int, int]) -> Tensor:
    """White noise of SIGMA, the same in all colours: (1, H, W)."""
    return SIGMA * torch.randn((1, *size), generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def noisy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve frames of 96x64, grey with noise."""
    path = tmp_path_factory.mktemp("noisy") / "in.mkv"
    smooth = make_video(path.with_name("smooth.mkv"), codec="ffv1", size=(96, 64))
    import av

    with av.open(str(smooth)) as old, av.open(str(path), "w") as new:
        stream = new.add_stream("ffv1", rate=30)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        stream.codec_context.time_base = old.streams.video[0].time_base
        for index, picture in enumerate(old.decode(video=0)):
            codes = torch.from_dlpack(picture.planes[0])
            codes.copy_((120 + 219 * noise(index, tuple(codes.shape))[0]).round().to(torch.uint8))
            new.mux(stream.encode(picture))
        new.mux(stream.encode(None))
    return path


def pictures(path: Path, start: Fraction | None = None) -> list[Tensor]:
    with open_reader(path, start=start) as reader:
        return [to_open_rgb(frame.planes, frame.color) for frame in reader]


def test_noise_is_measured() -> None:
    flat = torch.full((3, 128, 96), 0.5)
    assert noise_level(flat) == 0
    assert noise_level(flat + noise(0, (128, 96))) == pytest.approx(SIGMA, rel=0.04)
    busy = flat.clone()
    busy[:, :, 64:] = torch.rand((64, 16), generator=torch.Generator().manual_seed(1)).repeat(2, 2)
    assert noise_level(busy + noise(0, (128, 96))) == pytest.approx(SIGMA, rel=0.15)
    slopes = flat * torch.linspace(0, 1, 96)
    assert noise_level(slopes + noise(0, (128, 96))) == pytest.approx(SIGMA, rel=0.04)
    assert noise_level(torch.rand(3, 1, 9)) == 0  # too small to tell


@pytest.mark.parametrize("factor", [1, 2, 4])
def test_grain_has_the_level_that_the_enlarged_input_has(factor: int) -> None:
    clean = torch.full((3, 96, 128), 0.5)
    x = clean + noise(3, (96, 128))
    smooth = resize_to(clean, (96 * factor, 128 * factor))
    y = finished(smooth, x, Finish(grain=True), Fraction(1, 3))
    base = resize_bicubic(x, factor) if factor > 1 else x
    assert float((y - smooth).std()) == pytest.approx(float((base - smooth).std()), rel=0.05)
    assert float(((y - smooth) * (base - smooth)).mean()) < 0.1 * SIGMA**2  # and is another
    assert torch.equal(y, finished(smooth, x, Finish(grain=True), Fraction(1, 3)))
    assert not torch.equal(y, finished(smooth, x, Finish(grain=True), Fraction(2, 3)))
    assert torch.equal(finished(base, x, Finish(grain=True), Fraction(0)), base)  # it is all there


def test_half_of_the_noise_is_left_by_half_the_strength_and_the_rest_comes_as_grain() -> None:
    clean = torch.full((3, 96, 128), 0.5)
    x = clean + noise(3, (96, 128))
    half = finished(clean, x, Finish(strength=0.5), Fraction(0))
    assert float((half - clean).std()) == pytest.approx(SIGMA / 2, rel=0.02)
    both = finished(clean, x, Finish(0.5, grain=True), Fraction(0))
    assert float((both - clean).std()) == pytest.approx(SIGMA, rel=0.05)


def test_strength_is_the_share_of_the_network() -> None:
    x = torch.rand(3, 12, 16)
    y = torch.rand(3, 48, 64)
    assert finished(y, x, Finish(), Fraction(0)) is y
    wanted = (0.25 * y + 0.75 * resize_bicubic(x, 4)).clamp(0, 1)
    torch.testing.assert_close(finished(y, x, Finish(0.25), Fraction(0)), wanted)
    for wrong in (-0.1, 1.1):
        with pytest.raises(ValueError, match="expected a strength from 0 to 1, got"):
            Finish(wrong)


def test_the_file_holds_the_share(noisy: Path, tmp_path: Path) -> None:
    restore_video(Smooth(), noisy, tmp_path / "a.mkv", codec="ffv1", strength=0.3)
    with open_reader(tmp_path / "a.mkv") as reader:
        for rgb, frame in zip(pictures(noisy), reader, strict=True):
            flat = rgb.flatten(-2).mean(-1)[..., None, None] + 0.1
            mixed = (0.3 * flat + 0.7 * resize_bicubic(rgb, 2)).clamp(0, 1)
            for ours, theirs in zip(
                frame.planes, from_rgb(mixed, frame.color, (2, 2)), strict=True
            ):
                assert int((ours.int() - theirs.int()).abs().max()) <= 1


def test_grain_is_the_same_in_windows_tries_and_parts(noisy: Path, tmp_path: Path) -> None:
    wish = {"strength": 0.8, "grain": True, "codec": "ffv1"}
    restore_video(Smooth(), noisy, tmp_path / "whole.mkv", **wish)
    whole = pictures(tmp_path / "whole.mkv")
    assert not torch.equal(whole[0], whole[1])
    left = [noise_level(resize_to(y, (64, 96))) for y in whole]
    there = [noise_level(resize_to(resize_bicubic(x, 2), (64, 96))) for x in pictures(noisy)]
    assert sum(left) == pytest.approx(sum(there), rel=0.05)
    restore_video(Smooth(), noisy, tmp_path / "a.mkv", window=3, **wish)
    parts = {"window": 3, "segment": 3}
    for tries in range(9):  # noqa: B007
        try:
            restore_video(Smooth(), noisy, tmp_path / "b.mkv", stop=lambda: True, **parts, **wish)
            break
        except Stopped:
            with pytest.raises(MediaError, match="begun with strength 0.8, and now it is 0.5"):
                restore_video(
                    Smooth(), noisy, tmp_path / "b.mkv", **parts, **(wish | {"strength": 0.5})
                )
            with pytest.raises(MediaError, match="begun with grain True, and now it is False"):
                restore_video(
                    Smooth(), noisy, tmp_path / "b.mkv", **parts, **(wish | {"grain": False})
                )
    assert tries > 1
    start = Fraction(1, 4)
    restore_video(Smooth(), noisy, tmp_path / "c.mkv", start=start, **wish)
    ends = [pictures(tmp_path / f"{name}.mkv") for name in "abc"]
    del ends[2][0]  # shown from before the start on: it has another time, and another grain
    assert 2 < len(ends[2]) < len(whole)
    for end in ends:
        assert all(map(torch.equal, end, whole[len(whole) - len(end) :]))


def test_a_preview_shows_the_finished_picture(noisy: Path, tmp_path: Path) -> None:
    job = Job(
        noisy, tmp_path / "look.mkv", Excerpt(Fraction(1, 4)), Encoding("ffv1"), Compute(),
        finish=Finish(strength=0.0),
    )  # fmt: skip
    preview_video(Smooth(), job, Fraction(1, 5))
    for picture in pictures(tmp_path / "look.mkv"):
        left, right = picture.chunk(2, -1)
        apart = (left - right).abs()[..., 4:-4]  # chroma is mixed where they meet
        assert float(apart.max()) < 0.01  # both are the enlarged input
