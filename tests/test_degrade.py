import sys
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from scipy.ndimage import correlate

from media_clips import VARIABLE, make_video
from s2svr.color import ColorInfo, from_rgb, to_rgb
from s2svr.damage import blur
from s2svr.damage import codecs as recode
from s2svr.damage import table as degrade
from s2svr.damage.blur import blur_clip, blur_stream, random_exposure
from s2svr.damage.video import degrade_video
from s2svr.media import open_reader, read_clip
from s2svr.metrics import psnr_rgb


def smooth_clip(length: int, height: int = 48, width: int = 64) -> torch.Tensor:
    """A colourful pattern drifting right by 3 pixels a frame, rounded to 8 bits."""
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    frames = []
    for t in range(length):
        u = x - 3 * t
        rgb = [torch.sin(u / 4.0) * torch.cos(y / k) for k in (5.0, 9.0, 13.0)]
        frames.append(torch.stack(rgb) * 0.4 + 0.5)
    return (torch.stack(frames) * 255).round() / 255


def test_bicubic_cuts_to_multiples_of_four_and_rounds():
    pair = degrade.bicubic_down(smooth_clip(2, 50, 67))
    assert pair.hq.shape == (2, 3, 48, 64)
    assert pair.lq.shape == (2, 3, 12, 16)
    assert torch.equal(pair.lq, (pair.lq * 255).round() / 255)


def test_blur_is_the_mean_in_linear_light():
    clip = smooth_clip(7)
    pair = blur_clip(clip, 5)
    assert torch.equal(pair.hq, clip[2:5])
    want = np.mean([(clip[t].numpy()) ** 2.2 for t in range(1, 6)], 0) ** (1 / 2.2)
    assert np.abs(pair.lq[1].numpy() - want).max() <= 0.5 / 255 + 1e-6
    with pytest.raises(ValueError, match="an odd count of at most 7 frames, got 4"):
        blur_clip(clip, 4)


def test_random_blur_follows_its_generator():
    clip = smooth_clip(12)
    lengths = {
        len(degrade.motion_blur(clip, torch.Generator().manual_seed(s)).hq) for s in range(12)
    }
    assert lengths == {8, 6, 4, 2}


def test_gaussian_reduction_equals_scipy():
    clip = smooth_clip(1, 33, 46)
    pair = degrade.gaussian_down(clip)
    assert pair.hq.shape == (1, 3, 32, 44)
    at = np.arange(12) - 5.5
    kernel = np.exp(-(at[:, None] ** 2 + at**2) / (2 * 1.6**2))
    kernel /= kernel.sum()
    for have, plane in zip(pair.lq[0].numpy(), pair.hq[0].double().numpy(), strict=True):
        # MATLAB centres an even kernel on the tap before its middle.
        full = correlate(plane, kernel, mode="nearest", origin=-1)
        assert np.abs(have - full[1::4, 1::4]).max() <= 0.5 / 255 + 1e-6
    ramp = torch.arange(64.0).expand(1, 3, 64, 64) / 255
    middle = (
        degrade.gaussian_down(ramp).lq[0, 0, 8, 3:13] * 255
    )  # of 4 pixels: 1.5 beyond the first
    assert (middle - torch.arange(12, 52, 4) - 1.5).abs().max() <= 0.5


def test_sub_frames_are_averaged_once_each():
    clip = smooth_clip(23)
    pair = random_exposure(clip, torch.Generator().manual_seed(3))
    count = {3: 7, 2: 9}[len(pair.hq)] if len(pair.hq) > 1 else 15
    want = blur_clip(clip, count, step=count)
    assert torch.equal(pair.lq, want.lq)
    assert torch.equal(pair.hq, clip[count // 2 :: count][: len(pair.hq)])
    assert torch.equal(pair.lq[:1], blur_clip(clip[:count], count).lq)


@pytest.mark.parametrize("length", [1, 2, 3, 4, 5, 9])
def test_a_blurred_stream_keeps_its_length_and_its_middle(length: int):
    clip = smooth_clip(length, 8, 12)
    out = list(blur_stream(iter(clip), 5))
    assert len(out) == length
    for t, frame in enumerate(out):
        reach = min(2, t, length - 1 - t)
        want = blur_clip(clip[t - reach : t + reach + 1], 2 * reach + 1).lq[0]
        assert torch.allclose(frame, want, atol=1.01 / 255)
        assert (frame - want).abs().mean() < 1e-4  # but for codes that lie between two


def through_a_file(clip: torch.Tensor, path: Path, codec: str, options: dict) -> torch.Tensor:
    """Encoded into a file and read back, by PyAV alone but for the colours."""
    with av.open(str(path), "w") as output:
        stream = output.add_stream(codec, rate=25, options=options)
        stream.height, stream.width, stream.pix_fmt = *clip.shape[-2:], "yuv420p"
        for frame in clip:
            planes = from_rgb(frame, ColorInfo("bt709"), (2, 2))
            packed = np.concatenate([plane.numpy().ravel() for plane in planes])
            picture = av.VideoFrame.from_ndarray(packed.reshape(-1, clip.shape[-1]), "yuv420p")
            output.mux(stream.encode(picture))
        output.mux(stream.encode(None))
    with av.open(str(path)) as coded:
        arrays = [frame.to_ndarray().ravel() for frame in coded.decode(video=0)]
    height, width = clip.shape[-2:]
    sizes = [height * width, height * width // 4, height * width // 4]
    frames = []
    for array in arrays:
        y, cb, cr = torch.from_numpy(array).split(sizes)
        half = (height // 2, width // 2)
        planes = (y.view(height, width), cb.view(half), cr.view(half))
        frames.append((to_rgb(planes, ColorInfo("bt709")) * 255).round() / 255)
    return torch.stack(frames)


def test_streams_through_codecs_equal_files(tmp_path: Path):
    clip = smooth_clip(5, 80, 96)
    options = {"x265-params": recode.X265.format(37)}
    want = through_a_file(clip, tmp_path / "a.mkv", "libx265", options)
    assert torch.equal(torch.stack(list(degrade.hevc(iter(clip), 37))), want)
    # Frames that are held back and reordered come out in their order.
    kept = torch.stack(list(degrade.h264(iter(clip), 23)))
    options = recode.h264.options(23)  # without the instructions by which x264 errs
    assert torch.equal(kept, through_a_file(clip, tmp_path / "b.mkv", "libx264", options))
    assert list(degrade.h264(iter(()), 23)) == []


def test_a_higher_qp_loses_more():
    clip = smooth_clip(3, 80, 96)
    quality = [psnr_rgb(list(degrade.hevc(clip, qp))[1], clip[1]) for qp in (22, 32, 42)]
    assert quality[0] > quality[1] + 1 > quality[2] + 2
    assert 25 < quality[1] < 60
    with pytest.raises(ValueError, match="more than 64x64 pixels for HEVC, got 96x64"):
        list(degrade.hevc(clip[..., :64, :], 32))


def test_odd_sizes_keep_their_size():
    clip = smooth_clip(2, 35, 47)
    assert torch.stack(list(degrade.h264(clip, 23))).shape == clip.shape


def test_random_strengths_lie_in_their_range():
    clip = smooth_clip(1, 80, 96)
    seeds = torch.Generator().manual_seed(0)
    pair = degrade.compress_hevc(clip, seeds)
    assert any(torch.equal(pair.lq[0], next(degrade.hevc(clip, qp))) for qp in range(22, 43))
    pair = degrade.compress_h264(clip, seeds)
    assert any(torch.equal(pair.lq[0], next(degrade.h264(clip, crf))) for crf in range(18, 37))


def test_coded_clips_come_from_every_codec(monkeypatch: pytest.MonkeyPatch):
    met: dict[str, list[int]] = {}

    def spy(name: str):
        def codec(frames, quality: int):
            met.setdefault(name, []).append(quality)
            return iter(frames)

        return codec

    for name in ("hevc", "h264", "ldp"):
        monkeypatch.setattr(recode, name, spy(name))
    generator = torch.Generator().manual_seed(0)
    for _ in range(400):
        degrade.compress_coded(torch.zeros(1, 3, 8, 8), generator)
    assert 160 < len(met["hevc"]) < 240
    for name, lowest, highest in (("hevc", 22, 42), ("h264", 18, 36), ("ldp", 20, 38)):
        assert len(met[name]) > 70
        assert (min(met[name]), max(met[name])) == (lowest, highest)


def test_old_and_web_codings_are_drawn(monkeypatch: pytest.MonkeyPatch):
    met: dict[str, list[int]] = {}

    def spy(clip: torch.Tensor, codec: recode.Codec, quality: int) -> recode.Pair:
        met.setdefault(codec.encoder, []).append(quality)
        return recode.Pair(clip, clip)

    monkeypatch.setattr(recode, "compress", spy)
    generator, clip = torch.Generator().manual_seed(0), torch.zeros(1, 3, 8, 8)
    for damage in ("mpeg", "web"):
        for _ in range(400):
            degrade.degradation(damage)(clip, generator)
    ranges = {
        "mpeg2video": (2, 14),
        "mpeg4": (2, 14),
        "libvpx-vp9": (24, 52),
        "libsvtav1": (24, 52),
    }
    assert met.keys() == ranges.keys()
    for encoder, drawn in met.items():
        assert 160 < len(drawn) < 240
        assert (min(drawn), max(drawn)) == ranges[encoder]


@pytest.mark.parametrize(
    ("codec", "finer", "coarser"),
    [("mpeg2", 4, 12), ("mpeg4", 4, 12), ("vp9", 25, 50), ("av1", 25, 50)],
)
def test_a_codec_damages_as_it_is_told(codec: str, finer: int, coarser: int):
    clip = noise(7, 70, 90)[:, :1].repeat(1, 3, 1, 1)  # grey: colour is halved, however fine
    for count in (7, 1):
        fine, coarse, again = (
            torch.stack(list(degrade.stream(f"{codec}-{quality}")(iter(clip[:count]))))
            for quality in (finer, coarser, coarser)
        )
        assert fine.shape == coarse.shape == clip[:count].shape
        assert torch.equal(coarse, again)
        for t, frame in enumerate(clip[:count]):  # in their order, not in that of coding
            assert psnr_rgb(coarse[t], frame) + 2 < psnr_rgb(fine[t], frame)
            assert max(range(count), key=lambda n, t=t: psnr_rgb(fine[t], clip[n])) == t


def test_names_give_one_strength():
    clip, generator = smooth_clip(7, 80, 96), torch.Generator()
    assert torch.equal(degrade.degradation("blur-5")(clip, generator).lq, blur_clip(clip, 5).lq)
    want = degrade.compress(clip[:1], degrade.hevc, 30).lq
    assert torch.equal(degrade.degradation("hevc-30")(clip[:1], generator).lq, want)
    assert degrade.degradation("bicubic") is degrade.bicubic_down
    for name, fault in (
        ("rain", "expected a degradation .bicubic, gaussian.*got 'rain'"),
        ("blur-6", "an odd count of frames, got 'blur-6'"),
        ("hevc-60", "at most 51, got 'hevc-60'"),
        ("mpeg2-32", "at most 31, got 'mpeg2-32'"),
        ("mpeg4-0", "mpeg4-N with N of at least 1, got 'mpeg4-0'"),
        ("shutter-0", "shutter-N with N of at least 1, got 'shutter-0'"),
        ("av1-64", "at most 63, got 'av1-64'"),
        ("hevc-x", "got 'hevc-x'"),
    ):
        with pytest.raises(ValueError, match=fault):
            degrade.degradation(name)
    assert degrade.known_names() == (
        "bicubic, gaussian, blur, shutter, exposure, hevc, h264, mpeg, web, coded, mixed, or at "
        "one strength blur-7 (frames), shutter-2 (frames it is open), hevc-37, ldp-37, kvazaar-37 "
        "(QP), h264-32, x265-28 (crf), mpeg2-5, mpeg4-5 (quantiser), vp9-40, av1-40 (crf); or one "
        "after another, as h264-28+bicubic"
    )
    with pytest.raises(ValueError, match="got 'hevc'"):
        degrade.stream("hevc")  # not at random: a test video is made again the same


@pytest.mark.parametrize("damage", ["bicubic", "gaussian", "blur-5", "hevc-37", "h264-32"])
def test_a_degraded_video_is_the_degraded_clip(tmp_path: Path, damage: str):
    source = make_video(tmp_path / "in.mp4", size=(96, 80), pts=VARIABLE[:7])
    assert degrade_video(source, tmp_path / "out", damage) == 7
    with open_reader(source) as reader:
        clip = [to_rgb(frame.planes, frame.color) for frame in reader]
    have = read_clip(tmp_path / "out")
    want = torch.stack(list(degrade.stream(damage)(clip))) * 255
    assert torch.equal(have, want.round().to(torch.uint8))


def test_a_degraded_video_keeps_times_sound_and_quality(tmp_path: Path):
    source = make_video(tmp_path / "in.mkv", size=(96, 80), pts=VARIABLE[:6], sound=["aac"])
    for name in ("out.mkv", "out.mp4"):
        degrade_video(source, tmp_path / name, "hevc-30")
        with open_reader(source) as before, open_reader(tmp_path / name) as after:
            assert [track.kind for track in after.info.tracks] == ["audio"]
            frames = list(zip(before, after, strict=True))
        assert all(abs(a.time - b.time) < 0.001 for a, b in frames)
        want = degrade.hevc(iter([to_rgb(a.planes, a.color) for a, _ in frames]), 30)
        for picture, (_, b) in zip(want, frames, strict=True):
            planes = from_rgb(picture, b.color, (2, 2))
            assert all(torch.equal(x, y) for x, y in zip(planes, b.planes, strict=True))


def test_impossible_damage_leaves_nothing(tmp_path: Path):
    source = make_video(tmp_path / "in.mp4", size=(96, 64), pts=VARIABLE[:2])
    with pytest.raises(ValueError, match="more than 64x64"):
        degrade_video(source, tmp_path / "out.mp4", "hevc-37")
    assert [path.name for path in tmp_path.iterdir()] == ["in.mp4"]


def test_a_shutter_is_named_by_the_frames_it_is_open():
    clip = smooth_clip(5)
    pair = degrade.degradation("shutter-2")(clip, torch.Generator())
    assert torch.equal(pair.hq, clip[1:4])
    assert psnr_rgb(pair.lq[1], pair.hq[1]) < psnr_rgb(blur_clip(clip, 1).lq[2], clip[2])
    with pytest.raises(ValueError, match="frame after frame, got shutter"):
        degrade.stream("shutter-2")


def noise(length: int, height: int, width: int) -> torch.Tensor:
    """Frames that no other frame tells anything of: their quality is that of their QP."""
    small = torch.rand(
        length, 3, height // 2, width // 2, generator=torch.Generator().manual_seed(0)
    )
    return small.repeat_interleave(2, -1).repeat_interleave(2, -2)


def test_low_delay_gives_every_fourth_frame_a_better_quality():
    clip = noise(9, 80, 96)
    quality = [psnr_rgb(*pair) for pair in zip(recode.ldp(iter(clip), 32), clip, strict=True)]
    assert quality[0] > max(quality[1:])
    assert min(quality[4], quality[8]) > max(*quality[1:4], *quality[5:8])


def test_low_delay_has_the_offsets_of_hm_16_5(monkeypatch: pytest.MonkeyPatch):
    said = []
    monkeypatch.setattr(
        recode, "coded", lambda clip, encoder, decoder, options: said.append(options) or iter(())
    )
    for qp in (32, 50):
        recode.ldp(torch.zeros(6, 3, 80, 96), qp)
    zones = [options["x265-params"].split(":zones=")[1] for options in said]
    assert zones[0] == "1,1,q=32/2,2,q=35/3,3,q=34/4,4,q=35/5,5,q=33/6,6,q=35"
    assert zones[1] == "1,1,q=50/2,2,q=51/3,3,q=51/4,4,q=51/5,5,q=51/6,6,q=51"


DRAWN = [name for name, damage in degrade.DAMAGES.items() if damage.clip]


@pytest.mark.parametrize("name", ["blur-3", "shutter-2", "ldp-37", "h264-28+bicubic", *DRAWN])
def test_damage_is_made_on_the_device_of_the_clip(name: str, monkeypatch: pytest.MonkeyPatch):
    def coded(frames, encoder: str, decoder: str, options: dict):
        return iter([torch.zeros(frame.shape) for frame in frames])  # codecs give the CPU's

    def between(clip: torch.Tensor, flow: torch.nn.Module):
        assert {weight.device for weight in flow.parameters()} == {clip.device}
        return iter(clip.repeat_interleave(blur.SUBFRAMES, 0)[: 1 - blur.SUBFRAMES])

    monkeypatch.setattr(recode, "coded", coded)
    monkeypatch.setattr(blur, "interpolated", between)  # warping takes minutes there
    # Tensors without values, which mix with the CPU's as little as those of a GPU do.
    clip = torch.zeros(13, 3, 288, 288, device="meta")
    for seed in range(24 if name == "mixed" else 3):  # all that it may draw
        pair = degrade.degradation(name)(clip, torch.Generator().manual_seed(seed))
        assert {side.device.type for side in pair} == {"meta"}


def test_kvazaar_needs_its_package(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    with pytest.raises(
        ModuleNotFoundError, match=r"needs imageio-ffmpeg: pip install 's2svr\[kvazaar\]' brings it"
    ):
        list(recode.kvazaar(smooth_clip(1), 37))


def test_kvazaar_codes_like_low_delay():
    pytest.importorskip("imageio_ffmpeg")
    clip = noise(9, 82, 98)
    coded = list(recode.kvazaar(iter(clip), 32))
    quality = [psnr_rgb(*pair) for pair in zip(coded, clip, strict=True)]
    assert coded[0].shape == clip[0].shape
    assert min(quality[4], quality[8]) > max(*quality[1:4], *quality[5:8])


def test_a_cache_knows_which_flow_network_moved_its_frames(tmp_path, monkeypatch):
    assert degrade.cache_name("hevc-37+bicubic") == "hevc-37+bicubic"
    before = degrade.cache_name("shutter-2")
    assert before.startswith("shutter-2, ")
    (tmp_path / "other").write_bytes(b"other weights")
    monkeypatch.setattr(degrade, "find", lambda name: tmp_path / "other")
    assert degrade.cache_name("shutter-2") != before
    assert degrade.cache_name("exposure").startswith("exposure, ")


def test_a_cache_knows_the_offsets_of_low_delay():
    assert degrade.cache_name("ldp-37") == "ldp-37, QPs (3, 2, 3, 1)"
    assert degrade.cache_name("ldp-37+blur-3+ldp-30") == "ldp-37+blur-3+ldp-30, QPs (3, 2, 3, 1)"
