"""Images that are animated or have pages, other kinds of stills, and images as outputs."""

import gc
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from PIL import Image
from PIL.ImageCms import ImageCmsProfile, createProfile

from media_clips import make_video
from s2svr.color import from_rgb, to_rgb
from s2svr.media import open_reader, png_chunks
from s2svr.media.errors import MediaError
from s2svr.media.frame import Frame
from s2svr.media.stills import count_pictures, tiff_pages
from s2svr.restoration import restore_video
from s2svr.restoration.holdings import holdings_of
from s2svr.restoration.verify import Identity, check_video
from s2svr.writing.animations import Delays, short_fraction
from s2svr.writing.images import image_color, write_picture

SIZE = 32, 24
LENGTHS = [40, 200, 40, 1000]  # milliseconds
TIMES = [Fraction(t, 1000) for t in (0, 40, 240, 280)]


def smooth(seed: int = 0) -> np.ndarray:
    """A smooth picture (H, W, 3) uint8."""
    y, x = np.mgrid[: SIZE[1], : SIZE[0]]
    waves = [127 + 90 * np.sin(x / 9 + y / 14 + k + seed) for k in range(3)]
    return np.stack(waves, -1).astype(np.uint8)


def moving() -> list[Image.Image]:
    """Frames in which a square of few colours moves: a GIF can hold them exactly."""
    frames = []
    for index in range(4):
        image = Image.new("RGB", SIZE, (40, 60 * index, 200))
        image.paste((255, 200, 20), (4 + 5 * index, 5, 12 + 5 * index, 15))
        frames.append(image)
    return frames


def save_moving(path: Path, loop: int | None = 0, **options: object) -> Path:
    repeats = {} if loop is None else {"loop": loop}  # Pillow's: GIF counts those after the first
    first, *rest = moving()
    form = {".png": "PNG", ".apng": "PNG"}.get(path.suffix)
    lossless = {"lossless": True} if path.suffix == ".webp" else {}
    first.save(
        path, form, save_all=True, append_images=rest, duration=LENGTHS, **lossless,
        **repeats, **options,
    )  # fmt: skip
    return path


def save_pages(path: Path, count: int = 4) -> Path:
    first, *rest = moving()[:count]
    first.save(path, save_all=True, append_images=rest)
    return path


def copied(source: Path, target: Path, **settings: object) -> list[str]:
    """What a restoration that changes nothing says."""
    said: list[str] = []
    restore_video(Identity(), source, target, say=said.append, **settings)  # type: ignore[arg-type]
    return said


def shown(frame: Frame) -> np.ndarray:
    """(H, W, 3) in 0 to 255."""
    return (to_rgb(frame.planes, frame.color) * 255).permute(1, 2, 0).numpy()


def pillow_frames(path: Path) -> tuple[list[np.ndarray], list[float]]:
    """Frames and milliseconds as Pillow reads them."""
    with Image.open(path) as image:
        frames, lengths = [], []
        for index in range(image.n_frames):
            image.seek(index)
            frames.append(np.asarray(image.convert("RGB")).astype(int))
            lengths.append(image.info["duration"])
    return frames, lengths


# Reading -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a.png", "a.apng", "a.webp", "a.gif", "a.avif", "A.PNG"])
def test_animated_images_are_read_with_all_frames_at_their_times(tmp_path: Path, name: str):
    options = {"quality": 100, "subsampling": "4:4:4"} if "avif" in name else {}
    source = save_moving(tmp_path / name.lower(), **options)
    source = source.rename(tmp_path / name)
    with open_reader(source) as reader:
        frames = list(reader)
    assert [frame.time for frame in frames] == TIMES
    assert [frame.duration for frame in frames] == [Fraction(t, 1000) for t in LENGTHS]
    for frame, wanted in zip(frames, moving(), strict=True):
        error = np.abs(shown(frame) - np.asarray(wanted)).mean()
        assert error < (2 if name == "a.avif" else 0.01)
    assert reader.damage == []
    with pytest.raises(MediaError, match="the animated image .* has its own times"):
        open_reader(source, fps=10)


@pytest.mark.parametrize("name", ["a.webp", "a.png"])
def test_a_part_of_an_animation(tmp_path: Path, name: str):
    with open_reader(save_moving(tmp_path / name), start=0.04, end=0.28) as reader:
        frames = list(reader)
    assert [frame.time for frame in frames] == TIMES[1:3]
    assert np.abs(shown(frames[1]) - np.asarray(moving()[2])).max() < 0.01


@pytest.mark.parametrize(
    ("start", "end", "wanted"),
    [
        (0.4, 0.6, [(0.4, 0.2)]),  # within one frame
        (0.1, 0.5, [(0.1, 0.14), (0.24, 0.04), (0.28, 0.22)]),
        (0.2, None, [(0.24, 0.04), (0.28, 1)]),  # the next one comes at once
    ],
)
@pytest.mark.parametrize("name", ["a.webp", "a.mkv"])
def test_a_cut_of_an_animation_has_the_frame_that_is_on(
    tmp_path: Path, name: str, start: float, end: float | None, wanted: list[tuple[float, float]]
):
    source = save_moving(tmp_path / "a.webp")
    if name != "a.webp":
        copied(source, tmp_path / name, codec="ffv1")
    with open_reader(tmp_path / name, start=start, end=end) as reader:
        found = [(float(frame.time), float(frame.duration)) for frame in reader]
    assert found == [pytest.approx(times, abs=1e-9) for times in wanted]


def test_frames_of_webp_are_put_together_as_by_libwebp(tmp_path: Path):
    generator, frames = np.random.default_rng(0), []
    for index in range(5):  # small parts that are see-through in part, over each other
        image = Image.new("RGBA", SIZE)
        part = generator.integers(0, 256, (8, 10, 4), np.uint8)
        image.paste(Image.fromarray(part), (4 * index, 2 * index + 1))
        frames.append(image)
    first, *rest = frames
    for name, options in [("a", {}), ("b", {"minimize_size": True}), ("c", {"kmax": 0})]:
        path = tmp_path / f"{name}.webp"
        first.save(path, save_all=True, append_images=rest, lossless=True, exact=True, **options)
        with Image.open(path) as image, open_reader(path) as reader:
            for index, frame in enumerate(reader):
                image.seek(index)
                theirs = np.asarray(image.convert("RGBA")).astype(int)
                opaque = theirs[..., 3] > 250
                assert np.abs(shown(frame) - theirs[..., :3])[opaque].max(initial=0) <= 1
        assert reader.warnings == ["the alpha channel is left out"]


def test_what_a_damaged_animation_lacks_is_said(tmp_path: Path):
    webp = save_moving(tmp_path / "a.webp")
    webp.write_bytes(webp.read_bytes()[:-40])
    png = save_moving(tmp_path / "a.png")
    png.write_bytes(png.read_bytes()[:-40])
    flipped = save_moving(tmp_path / "b.png")
    data = bytearray(flipped.read_bytes())
    data[-40] ^= 255
    flipped.write_bytes(data)
    for path, what in [(webp, "cut off"), (png, "cut off"), (flipped, "broken at byte")]:
        with open_reader(path) as reader:
            assert 1 <= len(list(reader)) <= 4
        assert any(what in line for line in reader.damage), (path.name, reader.damage)
    webp.write_bytes(webp.read_bytes()[:40])
    with pytest.raises(
        MediaError, match="the animated image .* is broken|expected an image|broken"
    ):
        open_reader(webp)


def test_pages_of_a_tiff_are_frames(tmp_path: Path):
    source = save_pages(tmp_path / "a.tif")
    with open_reader(source, fps=2) as reader:
        frames = list(reader)
    assert (reader.info.kind, reader.info.frames, reader.info.rate) == ("images", 4, 2)
    for frame, wanted in zip(frames, moving(), strict=True):
        np.testing.assert_array_equal(shown(frame).round(), np.asarray(wanted))
    with open_reader(source, fps=2, start=1, end=2) as reader:
        assert np.array_equal(shown(next(reader)).round(), np.asarray(moving()[2]))
    first, second = moving()[0], moving()[1].resize((10, 10))
    first.save(tmp_path / "b.tif", save_all=True, append_images=[second])
    with (
        open_reader(tmp_path / "b.tif") as reader,
        pytest.raises(MediaError, match="a page is 32x24 and another is 10x10"),
    ):
        list(reader)


@pytest.mark.parametrize(("kind", "pages"), [(1, 1), (4, 1), (2, 2), (0, 2)])
def test_thumbnails_and_masks_are_no_pages(tmp_path: Path, kind: int, pages: int):
    path = tmp_path / "a.tif"
    second = moving()[1]
    second.encoderinfo = {"tiffinfo": {0x00FE: kind}}
    moving()[0].save(path, save_all=True, append_images=[second])
    assert len(tiff_pages(path.read_bytes())) == pages


def test_a_thumbnail_before_the_page_is_passed_over(tmp_path: Path):
    first, second = moving()[:2]
    second.encoderinfo = {"tiffinfo": {0x00FE: 0}}
    first.resize((8, 6)).save(
        tmp_path / "a.tif", save_all=True, append_images=[second], tiffinfo={0x00FE: 1}
    )
    with open_reader(tmp_path / "a.tif") as reader:
        (frame,) = reader
    assert np.array_equal(shown(frame).round(), np.asarray(second))


@pytest.mark.parametrize("name", ["a.png", "a.gif", "a.webp", "a.avif", "a.tif"])
def test_an_image_of_several_is_no_image_of_a_folder(tmp_path: Path, name: str):
    moving()[0].save(tmp_path / "0.png")
    (save_pages if name == "a.tif" else save_moving)(tmp_path / name)
    what = "has 4 pages" if name == "a.tif" else "is animated"
    with (
        open_reader(tmp_path) as reader,
        pytest.raises(MediaError, match=f"the image .*{name} {what}.*give it alone as the input"),
    ):
        list(reader)


@pytest.mark.parametrize("name", ["a.gif", "a.png", "a.webp", "a.avif", "a.tif"])
def test_images_of_one_picture_are_single(tmp_path: Path, name: str):
    Image.fromarray(smooth()).save(tmp_path / name)
    with open_reader(tmp_path / name) as reader:
        assert (reader.info.kind, reader.info.frames, len(list(reader))) == ("images", 1, 1)
        assert reader.warnings == []
    assert count_pictures((tmp_path / name).read_bytes(), reader.info.codec) == 1


def encoded(name: str, form: str, rgb: np.ndarray, options: dict[str, str]) -> bytes:
    """A picture by one of FFmpeg's encoders."""
    picture = av.VideoFrame.from_ndarray(rgb, "rgb24").reformat(format=form)
    codec = av.VideoCodecContext.create(name, "w")
    codec.width, codec.height, codec.pix_fmt = picture.width, picture.height, form
    codec.time_base, codec.options = Fraction(1, 25), options
    return b"".join(bytes(packet) for packet in codec.encode(picture) + codec.encode(None))


@pytest.mark.parametrize(
    ("name", "encoder", "form", "bits", "error"),
    [
        ("a.dpx", "dpx", "rgb24", 8, 0.1),
        ("a.dpx", "dpx", "gbrp10be", 10, 1),
        ("a.dpx", "dpx", "rgb48be", 16, 1.1),
        ("a.tga", "targa", "bgr24", 8, 0.1),
        ("a.ppm", "ppm", "rgb24", 8, 0.1),
        ("a.pnm", "ppm", "rgb48be", 16, 1.1),
        ("a.pam", "pam", "rgb24", 8, 0.1),
        ("a.jp2", "jpeg2000", "rgb24", 8, 12),
        ("a.qoi", "qoi", "rgb24", 8, 0.1),
    ],
)
def test_other_kinds_of_images_are_read(
    tmp_path: Path, name: str, encoder: str, form: str, bits: int, error: float
):
    (tmp_path / name).write_bytes(encoded(encoder, form, smooth(), {}))
    with open_reader(tmp_path / name) as reader:
        frame = next(reader)
    assert (reader.info.color.bits, reader.info.frames, reader.warnings) == (bits, 1, [])
    assert np.abs(shown(frame) - smooth()).max() <= error
    assert isinstance(reader.info.lossy, bool)


@pytest.mark.parametrize("form", ["gbrpf32le", "gbrapf32le"])
@pytest.mark.parametrize("half", ["half", "float"])
def test_linear_light_of_exr_becomes_srgb(tmp_path: Path, form: str, half: str):
    (tmp_path / "a.exr").write_bytes(encoded("exr", form, smooth(), {"format": half}))
    linear = smooth() / 255
    wanted = np.where(linear < 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    with open_reader(tmp_path / "a.exr") as reader:
        assert reader.info.color.bits == 16
        assert np.abs(shown(next(reader)) - 255 * wanted).max() < 1
    assert reader.warnings[-1] == "linear light is read as sRGB, and what is brighter than 1 as 1"


def test_an_image_of_tiles_is_refused(tmp_path: Path):
    path = tmp_path / "a.avif"
    Image.fromarray(smooth()).save(path)
    data = path.read_bytes()
    place = data.index(b"infe") + len(b"infe") + 8  # of the kind of the first item
    assert data[place : place + 4] == b"av01"
    path.write_bytes(data[:place] + b"grid" + data[place + 4 :])
    with pytest.raises(MediaError, match="is put together of tiles, .* convert it to PNG"):
        open_reader(path)


# Writing -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "form", "error"),
    [
        ("a.png", "PNG", 0),
        ("a.PNG", "PNG", 0),
        ("a.tif", "TIFF", 0),
        ("a.tiff", "TIFF", 0),
        ("a.bmp", "BMP", 0),
        ("a.webp", "WEBP", 0),
        ("a.jpg", "JPEG", 8),
        ("a.jpeg", "JPEG", 8),
        ("a.gif", "GIF", 12),
    ],
)
def test_one_picture_in_gives_one_picture_out(tmp_path: Path, name: str, form: str, error: int):
    source, target = tmp_path / "in.tif", tmp_path / "out" / name
    Image.fromarray(smooth()).save(source)
    said = copied(source, target)
    with Image.open(target) as image:
        assert (image.format, getattr(image, "n_frames", 1)) == (form, 1)
        again = np.asarray(image.convert("RGB")).astype(int)
    assert np.abs(again - smooth()).max() <= error
    assert said == (
        ["each picture is written with 256 colours, as GIF has no more"] * ("gif" in name)
    )
    assert [path.name for path in target.parent.iterdir()] == [name]


def test_grey_and_deep_pictures_stay_so_where_they_can(tmp_path: Path):
    deep = np.arange(768, dtype=np.uint16).reshape(24, 32) * 85
    Image.fromarray(deep).save(tmp_path / "in.png")
    for name in ("a.png", "a.tif"):
        assert copied(tmp_path / "in.png", tmp_path / name) == []
        np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / name)), deep)
    assert copied(tmp_path / "in.png", tmp_path / "a.jpg") == ["written with 8 bits of 16"]
    assert copied(tmp_path / "in.png", tmp_path / "b.tif", bits=8) == ["written with 8 bits of 16"]
    assert np.asarray(Image.open(tmp_path / "b.tif")).dtype == np.uint8


def test_quality_of_pictures(tmp_path: Path):
    Image.fromarray(smooth()).save(tmp_path / "in.png")
    for name in ("a.jpg", "a.webp"):
        sizes = []
        for crf in (1, 15, 30):
            copied(tmp_path / "in.png", tmp_path / name, crf=crf, overwrite=True)
            sizes.append((tmp_path / name).stat().st_size)
        assert sizes[0] > sizes[1] > sizes[2]


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("a.png", {"crf": 5}, "png takes no quality"),
        ("a.jpg", {"crf": 32}, "expected a crf between 0 and 31, got 32"),
        ("a.jpg", {"bits": 16}, "jpeg images have 8 bits, not 16; choose --bits 8"),
        ("a.png", {"bits": 10}, "png images have 8 or 16 bits, not 10"),
        ("a.jpg", {"bitrate": 100000}, "jpeg images take no bit rate and no preset"),
        ("a.jpg", {"codec": "png"}, ".jpg files cannot hold png"),
        ("out", {"codec": "h264"}, "images are written with png, tiff, jpeg, .*not with h264"),
    ],
)
def test_what_a_kind_of_picture_cannot_be_is_refused(
    tmp_path: Path, name: str, settings: dict[str, object], message: str
):
    Image.fromarray(smooth()).save(tmp_path / "in.png")
    with pytest.raises(MediaError, match=message):
        copied(tmp_path / "in.png", tmp_path / name, **settings)
    assert [path.name for path in tmp_path.iterdir()] == ["in.png"]


def test_folders_are_written_as_their_pattern_or_codec_says(tmp_path: Path):
    source = tmp_path / "in"
    source.mkdir()
    for index in range(3):
        Image.fromarray(smooth(index)).save(source / f"f{index}.png")
    for target, settings, names in [
        ("a", {}, ["f0.png", "f1.png", "f2.png"]),
        ("b/%03d.jpg", {}, ["000.jpg", "001.jpg", "002.jpg"]),
        ("c/shot-%d.tif", {}, ["shot-0.tif", "shot-1.tif", "shot-2.tif"]),
        ("d/*.webp", {}, ["f0.webp", "f1.webp", "f2.webp"]),
        ("e.v2/*", {}, ["f0.png", "f1.png", "f2.png"]),
        ("f", {"codec": "jpeg"}, ["f0.jpg", "f1.jpg", "f2.jpg"]),
    ]:
        copied(source, tmp_path / target, **settings)
        place = tmp_path / target.partition("/")[0]
        assert sorted(path.name for path in place.iterdir()) == names
        with Image.open(place / names[2]) as image:
            assert np.abs(np.asarray(image).astype(int) - smooth(2)).max() <= 8
    for target in ("b/%03d.jpg", "b"):
        with pytest.raises(MediaError, match="b exists already"):
            copied(source, tmp_path / target)


@pytest.mark.parametrize("source", ["a.png", "a.webp", "a.gif"])
@pytest.mark.parametrize("target", ["b.png", "b.apng", "b.webp", "b.gif"])
def test_animations_stay_animated(tmp_path: Path, source: str, target: str):
    said = copied(save_moving(tmp_path / source), tmp_path / target)
    frames, lengths = pillow_frames(tmp_path / target)
    assert lengths == LENGTHS
    for frame, wanted in zip(frames, moving(), strict=True):
        np.testing.assert_array_equal(frame, np.asarray(wanted))
    assert [line for line in said if "alpha" not in line] == (
        ["each picture is written with 256 colours, as GIF has no more"] * ("gif" in target)
    )
    with open_reader(tmp_path / target) as reader:  # and by us
        assert [frame.time for frame in reader] == TIMES
    with Image.open(tmp_path / target) as image:
        assert image.info["loop"] == 0


@pytest.mark.parametrize(
    ("source", "loop", "plays"),
    [("a.gif", None, 1), ("a.gif", 2, 3), ("a.png", 1, 1), ("a.png", 3, 3), ("a.webp", 3, 3)],
)
def test_animations_are_shown_as_often_as_before(
    tmp_path: Path, source: str, loop: int | None, plays: int
):
    save_moving(tmp_path / source, loop)
    for target in ("b.png", "b.webp", "b.gif"):
        copied(tmp_path / source, tmp_path / target)
        with Image.open(tmp_path / target) as image:
            found = image.info.get("loop")
        assert found == (plays if target != "b.gif" else plays - 1 or None)


@pytest.mark.parametrize("name", ["b.gif", "b.webp", "b.apng"])
def test_a_video_becomes_an_animation(tmp_path: Path, name: str):
    pts = [0, 3600, 9000, 18000]  # 40, 60 and 100 ms
    source = make_video(tmp_path / "a.mkv", codec="ffv1", pts=pts, last=9000, sound=["aac"])
    said = copied(source, tmp_path / name)
    assert "sound and subtitles are left out: images hold none" in said
    _, lengths = pillow_frames(tmp_path / name)
    assert lengths[:3] == [40, 60, 100]
    assert len(lengths) == 4


def test_an_animation_becomes_a_video_with_its_times(tmp_path: Path):
    for name in ("a.webp", "a.png"):
        copied(save_moving(tmp_path / name), tmp_path / f"{name}.mkv")
        with open_reader(tmp_path / f"{name}.mkv") as reader:
            assert [frame.time for frame in reader] == TIMES


def test_the_still_in_an_animated_avif_is_no_track(tmp_path: Path):
    source = save_moving(tmp_path / "a.avif")
    assert copied(source, tmp_path / "a.mp4") == []
    check = check_video(source, tmp_path / "b.mkv")
    assert check.holds, check.failures
    first, *rest = [image.convert("RGBA") for image in moving()]
    first.putalpha(100)
    first.save(tmp_path / "b.avif", save_all=True, append_images=rest, duration=40)
    (said,) = copied(tmp_path / "b.avif", tmp_path / "b.mp4")
    assert said.endswith("is left out: it is the alpha channel")


def test_a_stopped_animation_goes_on_and_is_the_same(tmp_path: Path):
    source = save_moving(tmp_path / "a.webp")
    copied(source, tmp_path / "whole.apng")

    def stopped(target: Path, stop: Callable[[], bool]) -> None:
        restore_video(Identity(), source, target, window=1, segment=2, stop=stop)

    target = tmp_path / "b.apng"
    with pytest.raises(KeyboardInterrupt):
        stopped(target, lambda: True)
    assert not target.exists()
    stopped(target, lambda: False)
    assert target.read_bytes() == (tmp_path / "whole.apng").read_bytes()


@pytest.mark.parametrize("name", ["a.webp", "a.tif", "a.gif"])
def test_one_picture_is_not_made_of_several(tmp_path: Path, name: str):
    source = (save_pages if name == "a.tif" else save_moving)(tmp_path / name)
    with pytest.raises(MediaError, match=r"b.jpg is one picture, and .* name a folder of images"):
        copied(source, tmp_path / "b.jpg")
    video = make_video(tmp_path / "v.mp4")
    with pytest.raises(MediaError, match=r"b.png is one picture, .*\.gif, \.webp, \.apng"):
        copied(video, tmp_path / "b.png")
    assert not (tmp_path / "b.jpg").exists()


def test_one_frame_of_a_video_is_a_picture(tmp_path: Path):
    video = make_video(tmp_path / "v.mkv", codec="ffv1", pts=[3000 * t for t in range(20)])
    copied(video, tmp_path / "b.png", start=Fraction(1, 5), end=Fraction(23, 100))
    with open_reader(video) as reader, Image.open(tmp_path / "b.png") as image:
        wanted = [shown(frame) for frame in reader][6]
        assert np.abs(np.asarray(image) - wanted).max() <= 0.5


def test_delays_do_not_drift_and_short_ones_are_told():
    third = [(Fraction(i, 30), Fraction(1, 30)) for i in range(300)]
    delays = Delays(third)
    assert sum(delays.units(Fraction(1, 100), 2)) == 1000
    assert delays.warnings == []
    fast = Delays([(Fraction(i, 100), Fraction(1, 100)) for i in range(10)])
    assert fast.units(Fraction(1, 100), 2) == [2] * 10
    assert fast.warnings == [
        "10 frames are shown for 0.02 s, longer than in the source: this kind of image shows none "
        "shorter"
    ]
    assert list(delays.exact()) == [Fraction(1, 30)] * 300
    for value in (Fraction(1001, 30000), Fraction(201, 2), Fraction(10**9, 7), Fraction(1, 10**6)):
        near = short_fraction(value)
        assert max(near.numerator, near.denominator) <= 65535
        assert abs(near - min(value, 65535)) < max(Fraction(1, 10**4), value / 10**4)


# Colours beyond sRGB ------------------------------------------------------------------------------

LIGHT = "G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,1)"


def wide_video(path: Path, primaries: int = 9, transfer: int = 16) -> Path:
    tags = 1, 9, primaries, transfer
    return make_video(path, codec="ffv1", form="yuv420p10le", tags=tags, pts=[0, 3003])


def chunks_of(path: Path) -> dict[bytes, bytes]:
    return {name: content for name, content in png_chunks(path.read_bytes()) if name != b"IDAT"}


@pytest.mark.parametrize(("primaries", "transfer"), [(9, 16), (9, 18), (12, 13), (6, 6)])
def test_png_says_primaries_and_transfer(tmp_path: Path, primaries: int, transfer: int):
    source = wide_video(tmp_path / "a.mkv", primaries, transfer)
    assert copied(source, tmp_path / "out") == []
    assert chunks_of(tmp_path / "out" / "000000.png")[b"cICP"] == bytes([primaries, transfer, 0, 1])
    assert copied(tmp_path / "out", tmp_path / "again") == []  # and so does an image of it
    again = chunks_of(tmp_path / "again" / "000001.png")[b"cICP"]
    assert again == bytes([primaries, transfer, 0, 1])
    copied(tmp_path / "out", tmp_path / "b.mkv", bits=10)
    with open_reader(tmp_path / "b.mkv") as reader:
        color = reader.info.color
    assert (color.primaries, color.transfer) == (primaries, transfer)
    assert color.matrix == ("bt2020" if primaries == 9 else "bt601")
    rows = {row.what: row.fate for row in holdings_of(source, tmp_path / "new.png").rows}
    assert (rows["primaries"], rows["transfer"]) == ("kept", "kept")


@pytest.mark.parametrize("name", ["a.png", "a.mov"])
def test_a_profile_of_a_moving_png_is_left_out_aloud(tmp_path: Path, name: str):
    profile = ImageCmsProfile(createProfile("sRGB")).tobytes()
    source = save_moving(tmp_path / "a.png", icc_profile=profile)
    if name != "a.png":
        source = tmp_path / name
        moving()[1].save(tmp_path / "one.png", icc_profile=profile)
        with av.open(str(source), "w") as output:
            stream = output.add_stream("png", rate=25)
            stream.width, stream.height, stream.pix_fmt = *SIZE, "rgb24"
            output.start_encoding()
            for index in range(4):
                packet = av.Packet((tmp_path / "one.png").read_bytes())
                packet.pts = packet.dts = index
                packet.time_base, packet.stream, packet.is_keyframe = Fraction(1, 25), stream, True
                output.mux(packet)
    for _ in range(10):  # PyAV crashed at some collection after it
        with open_reader(source) as reader:
            frames = list(reader)
        assert np.array_equal(shown(frames[1]).round(), np.asarray(moving()[1]))
        gc.collect()
    assert (len(frames), reader.damage) == (4, [])
    assert reader.warnings == [
        "the ICC profile of the pictures is left out: it cannot be written again"
    ]
    if name != "a.png":
        check = check_video(source, tmp_path / "b.mkv")
        assert check.failures == []


def test_moving_pngs_say_them_too(tmp_path: Path):
    copied(wide_video(tmp_path / "a.mkv"), tmp_path / "a.apng")
    with open_reader(tmp_path / "a.apng") as reader:
        assert (reader.info.color.primaries, reader.info.color.transfer) == (9, 16)


@pytest.mark.parametrize("tags", [None, (1, 1, 1, 1), (1, 6, 2, 6), (2, 1, 1, 13)])
def test_pictures_like_srgb_need_no_word(tmp_path: Path, tags: tuple[int, int, int, int] | None):
    source = make_video(tmp_path / "a.mkv", tags=tags, pts=[0])
    assert copied(source, tmp_path / "a.png") == copied(source, tmp_path / "a.jpg") == []
    assert b"cICP" not in chunks_of(tmp_path / "a.png")


@pytest.mark.parametrize("kind", ["jpeg", "tiff", "webp", "bmp", "gif"])
def test_images_that_cannot_say_them_are_named(tmp_path: Path, kind: str):
    said = copied(wide_video(tmp_path / "a.mkv"), tmp_path / "out", codec=kind)
    assert (
        f"the colour primaries 9 and the transfer 16 are not said by {kind} images: they are shown "
        "as sRGB, in other colours; png says them"
    ) in said


def test_the_light_of_hdr10_goes_through_png(tmp_path: Path):
    params = f"log-level=none:bframes=0:master-display={LIGHT}:max-cll=1000,400"
    source = make_video(
        tmp_path / "a.mp4", codec="libx265", form="yuv420p10le", size=(96, 80), pts=[0, 3003],
        tags=(1, 9, 9, 16), options={"x265-params": params},
    )  # fmt: skip
    copied(source, tmp_path / "out")
    copied(tmp_path / "out", tmp_path / "b.mkv", codec="hevc", bits=10)
    with open_reader(source) as old, open_reader(tmp_path / "b.mkv") as new:
        assert old.display.light == (1000, 400)
        assert (new.display.mastering, new.display.light) == (
            old.display.mastering,
            old.display.light,
        )
    said = copied(source, tmp_path / "a.webp")
    assert "the HDR10 metadata are left out: webp images have none" in said
    rows = {r.what: r for r in holdings_of(tmp_path / "out", tmp_path / "x" / "%d.jpg").rows}
    assert all("not said by jpeg" in rows[what].why for what in ("primaries", "transfer"))
    assert rows["HDR10 metadata"].fate == "dropped"
    assert "HDR10" in rows["HDR10 metadata"].why


def test_an_avif_says_its_primaries_and_transfer(tmp_path: Path):
    with av.open(str(tmp_path / "a.avif"), "w", format="avif") as output:
        stream = output.add_stream("libsvtav1", rate=1)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p10le"
        context = stream.codec_context
        context.color_primaries, context.color_trc, context.colorspace = 9, 16, 9
        stream.options = {"preset": "12", "svtav1-params": "avif=1"}
        picture = av.VideoFrame(64, 64, "yuv420p10le")
        output.mux(stream.encode(picture))
        output.mux(stream.encode(None))
    with open_reader(tmp_path / "a.avif") as reader:
        color = reader.info.color
    assert (color.matrix, color.primaries, color.transfer) == ("bt2020", 9, 16)
    copied(tmp_path / "a.avif", tmp_path / "a.png")
    assert chunks_of(tmp_path / "a.png")[b"cICP"] == bytes([9, 16, 0, 1])


def test_images_of_two_transfers_are_said(tmp_path: Path):
    copied(wide_video(tmp_path / "a.mkv"), tmp_path / "out")
    Image.new("RGB", (64, 48)).save(tmp_path / "out" / "000001.png")
    assert copied(tmp_path / "out", tmp_path / "again") == [
        "the images differ in colour primaries or transfer: the output has 9 and 16 for all, "
        "000001.png 2 and 2"
    ]


# -------------------------------------------------------------------------------------------------


def test_odd_sizes_of_every_kind_are_written(tmp_path: Path):
    planes = tuple(torch.randint(0, 256, (3, 7, 5), dtype=torch.uint8))
    for codec in ("png", "tiff", "webp", "gif", "bmp"):
        write_picture(tmp_path / "a", planes, codec)
        with Image.open(tmp_path / "a") as image:
            again = np.asarray(image.convert("RGB")).astype(int)
        error = np.abs(again - torch.stack(planes, -1).numpy()).max()
        assert error <= (16 if codec == "gif" else 0), codec
    jpeg = from_rgb(torch.stack(planes) / 255, image_color("jpeg", "rgb", 8), (1, 1))
    write_picture(tmp_path / "a", jpeg, "jpeg", 1)
    with Image.open(tmp_path / "a") as image:
        assert image.size == (5, 7)
