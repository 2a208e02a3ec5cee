from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from PIL import Image, ImageOps
from torch import Tensor

from media_clips import make_video, video_times
from s2svr.color import from_rgb, to_rgb
from s2svr.media import open_reader, read_clip
from s2svr.media.errors import MediaError
from s2svr.media.frame import Frame, Reader
from s2svr.media.images import decode_image, read_image, still_format
from s2svr.media.planes import bits_of, is_gray, is_rgb, subsampling
from s2svr.media.stills import images_in
from s2svr.restoration import restore_video
from s2svr.restoration.backend import Identity
from s2svr.writing import OutputFormat, WorkPolicy, open_writer
from s2svr.writing.images import write_png
from s2svr.writing.protocol import Writer


def picture(seed: int = 0, height: int = 20, width: int = 30) -> np.ndarray:
    """A smooth picture (H, W, 3) uint8."""
    y, x = np.mgrid[:height, :width]
    waves = [127 + 90 * np.sin(x / 9 + y / 14 + k + seed) for k in range(3)]
    return np.stack(waves, -1).astype(np.uint8)


def folder(path: Path, count: int = 3) -> Path:
    path.mkdir()
    for index in range(count):
        Image.fromarray(picture(index)).save(path / f"f{index}.png")
    return path


def shown(frame: Frame) -> Tensor:
    """(H, W, 3) in 0 to 255."""
    return (to_rgb(frame.planes, frame.color) * 255).permute(1, 2, 0)


def copy(
    source: Path,
    target: Path,
    *,
    fps: float | None = None,
    start: float | None = None,
    end: float | None = None,
    bits: int | None = None,
    overwrite: bool = False,
) -> tuple[Reader, Writer]:
    with open_reader(source, fps=fps, start=start, end=end) as reader:
        output = OutputFormat(reader.info.width, reader.info.height, bits)
        policy = WorkPolicy(overwrite)
        with open_writer(target, reader=reader, output=output, policy=policy) as writer:
            for frame in reader:
                rgb = to_rgb(frame.planes, frame.color)
                planes = from_rgb(rgb, writer.color, writer.chroma)
                writer.write(replace(frame, planes=planes, color=writer.color))
    return reader, writer


# Reading -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "mode", "options", "error"),
    [
        ("a.png", "RGB", {}, 0),
        ("a.png", "RGBA", {}, 0),
        ("a.png", "P", {}, 0),
        ("a.png", "L", {}, 0),
        ("a.png", "LA", {}, 0),
        ("a.png", "1", {}, 0),
        ("a.bmp", "RGB", {}, 0),
        ("a.bmp", "P", {}, 0),
        ("a.tif", "RGB", {}, 0),
        ("a.tiff", "RGB", {"compression": "tiff_lzw"}, 0),
        ("a.webp", "RGB", {"lossless": True}, 0),
        # Codes of luma and chroma: libjpeg and libwebp round on the way to RGB.
        ("a.jpg", "RGB", {"quality": 95, "subsampling": 0}, 3),
        ("a.JPG", "RGB", {"quality": 95, "subsampling": 2}, 3.5),
        ("a.jpeg", "RGB", {"quality": 95, "progressive": True}, 3.5),
        ("a.jpg", "L", {"quality": 95}, 1),
        ("a.webp", "RGB", {"quality": 95}, 2.5),
    ],
)
def test_images_are_those_of_pillow(
    tmp_path: Path, name: str, mode: str, options: dict[str, object], error: float
):
    Image.fromarray(picture()).convert(mode).save(tmp_path / name, **options)
    theirs = np.asarray(Image.open(tmp_path / name).convert("RGB")).astype(float)
    ours = shown(read_image(tmp_path / name))
    assert np.abs(ours.numpy() - theirs).max() <= error + 1e-4


@pytest.mark.parametrize("kind", ["jpg", "png", "tif", "webp"])
@pytest.mark.parametrize("turn", range(1, 9))
def test_photographs_are_turned_upright(tmp_path: Path, kind: str, turn: int):
    corners = np.kron(np.array([[1, 2], [3, 4]]) * 50, np.ones((8, 16)))[..., None]
    image = Image.fromarray(np.repeat(corners, 3, 2).astype(np.uint8))
    path = tmp_path / f"a.{kind}"
    if kind == "tif":
        image.save(path, tiffinfo={0x0112: turn})
    else:
        exif = Image.Exif()
        exif[0x0112] = turn
        options = {"webp": {"lossless": True}, "jpg": {"quality": 95}}.get(kind, {})
        image.save(path, exif=exif, **options)
    theirs = np.asarray(ImageOps.exif_transpose(Image.open(path)).convert("RGB")).astype(float)
    ours = shown(read_image(path)).numpy()
    assert ours.shape == theirs.shape
    assert np.abs(ours - theirs).max() <= 1


def test_sixteen_bits_are_kept(tmp_path: Path):
    codes = torch.randint(0, 65536, (20, 30), generator=torch.Generator().manual_seed(0))
    source = tmp_path / "in"
    source.mkdir()
    Image.fromarray(codes.numpy().astype(np.uint16)).save(source / "a.png")
    with open_reader(source) as reader:
        assert reader.info.color.bits == 16
        assert torch.equal(next(reader).planes[0].int(), codes.int())
    _, writer = copy(source, tmp_path / "out")
    again = np.asarray(Image.open(tmp_path / "out" / "a.png"))
    np.testing.assert_array_equal(again, codes.numpy())
    _, writer = copy(source, tmp_path / "eight", bits=8)
    assert np.asarray(Image.open(tmp_path / "eight" / "a.png")).dtype == np.uint8


@pytest.mark.parametrize(("turn", "dims"), [(2, [1]), (3, [0, 1]), (4, [0])])
def test_sixteen_bits_are_turned(tmp_path: Path, turn: int, dims: list[int]):
    codes = torch.randint(0, 65536, (40, 61), generator=torch.Generator().manual_seed(0))
    image = Image.fromarray(codes.numpy().astype(np.uint16))
    image.save(tmp_path / "a.tif", tiffinfo={0x0112: turn})
    assert torch.equal(read_image(tmp_path / "a.tif").planes[0].int(), codes.flip(dims).int())


def test_numbers_count_as_numbers(tmp_path: Path):
    names = ["b10.png", "b2.png", "a.png", "B1.png", "b2x.png", ".hidden.png", "note.txt"]
    for name in names:
        (tmp_path / name).touch()
    (tmp_path / "c.png").mkdir()
    order = [file.name for file in images_in(tmp_path)]
    assert order == ["B1.png", "a.png", "b2.png", "b2x.png", "b10.png"]


def test_names_of_one_number_have_one_order(tmp_path: Path):
    for name in ["1.png", "01.png", "001.png", "2.png", "02.png"]:
        (tmp_path / name).touch()
    order = [file.name for file in images_in(tmp_path)]
    assert order == ["001.png", "01.png", "1.png", "02.png", "2.png"]


def test_a_folder_is_a_video_without_times(tmp_path: Path):
    source = folder(tmp_path / "in", 5)
    with open_reader(source, fps=10) as reader:
        frames = list(reader)
    info = reader.info
    assert (info.kind, info.width, info.height, info.frames) == ("images", 30, 20, 5)
    assert (info.rate, info.duration) == (10, Fraction(1, 2))
    assert [frame.time for frame in frames] == [None] * 5
    with open_reader(source, fps=10, start=0.1, end=0.35) as reader:
        assert [file.name for file in reader.files] == ["f1.png", "f2.png", "f3.png"]
        assert torch.equal(next(reader).planes[0], frames[1].planes[0])
    with open_reader(source / "f2.png") as reader:
        assert len(list(reader)) == 1
    assert torch.equal(read_clip(source)[2].permute(1, 2, 0), torch.from_numpy(picture(2)))
    with pytest.raises(MediaError, match="holds no images in the time asked for"):
        open_reader(source, start=9.0)
    with pytest.raises(MediaError, match="expected a frame rate above 0, got 0"):
        open_reader(source, fps=0)


KINDS = {  # of images: what Pillow makes of them, or the arrays and formats of FFmpeg's encoders
    "l.png": "L", "la.png": "LA", "1.png": "1", "p.png": "P", "rgb.png": "RGB", "rgba.png": "RGBA",
    "l.jpg": "L", "rgb.jpg": "RGB", "cmyk.jpg": "CMYK", "l.tif": "L", "1.tif": "1", "p.tif": "P",
    "rgb.tif": "RGB", "l.bmp": "L", "rgb.bmp": "RGB", "p.gif": "P", "rgb.webp": "RGB",
    "l.tga": "L", "rgb.tga": "RGB", "l.jp2": "L", "rgb.jp2": "RGB", "l.pgm": "L", "rgb.ppm": "RGB",
    "rgb.avif": "RGB", "l16.png": "gray16be", "rgb16.png": "rgb48be", "l16.tiff": "gray16le",
    "rgb16.tiff": "rgb48le", "yuv.tiff": "yuv420p", "rgb8.dpx": "rgb24", "rgb10.dpx": "gbrp10be",
    "l16.dpx": "gray16be", "rgb.exr": "gbrpf32le", "rgb.qoi": "rgb24", "lossless.webp": "bgra",
}  # fmt: skip


def save_kind(path: Path) -> Path:
    """An image of one of KINDS."""
    kind, array = KINDS[path.name], picture(0, 24, 32)
    if kind == kind.upper():
        Image.fromarray(array).convert(kind).save(path)
        return path
    frame = av.VideoFrame.from_ndarray(array, format="rgb24").reformat(format=kind)
    names = {".tiff": "tiff", ".webp": "libwebp"}
    coder = av.VideoCodecContext.create(names.get(path.suffix, path.suffix[1:]), "w")
    coder.width, coder.height, coder.pix_fmt, coder.time_base = 32, 24, kind, Fraction(1)
    coder.options = {"lossless": "1"} if path.suffix == ".webp" else {}
    path.write_bytes(b"".join(bytes(part) for part in coder.encode(frame) + coder.encode(None)))
    return path


@pytest.mark.parametrize("name", KINDS)
def test_headers_tell_what_the_pictures_are(tmp_path: Path, name: str):
    told = still_format(save_kind(tmp_path / name))
    real = decode_image(tmp_path / name).picture.format
    assert told is not None
    assert [is_rgb(told), is_gray(told), bits_of(told), subsampling(told)] == [
        *(is_rgb(real), is_gray(real), bits_of(real), subsampling(real))
    ]


def unlike(path: Path, *images: np.ndarray | Image.Image) -> Path:
    """A folder of images, 1.png and so on, of which arrays of 16 bits are RGB of 16 bits."""
    path.mkdir()
    for number, image in enumerate(images, 1):
        if isinstance(image, Image.Image):
            image.save(path / f"{number}.png")
            continue
        frame = av.VideoFrame.from_ndarray(image, format="rgb48be")
        coder = av.VideoCodecContext.create("png", "w")
        coder.width, coder.height, coder.pix_fmt = frame.width, frame.height, "rgb48be"
        coder.time_base = Fraction(1)
        data = b"".join(bytes(part) for part in coder.encode(frame) + coder.encode(None))
        (path / f"{number}.png").write_bytes(data)
    return path


RED, BLACK = Image.new("RGB", (32, 24), (200, 0, 42)), Image.new("L", (32, 24))
DEEP = np.full((24, 32, 3), 30001, np.uint16)


def values(path: Path) -> list[tuple[int, ...]]:
    """Codes of the first pixel of each image, or frame."""
    with open_reader(path) as reader:
        return [tuple(int(plane[0, 0]) for plane in frame.planes) for frame in reader]


@pytest.mark.parametrize("target", ["out/", "out.mkv"])
@pytest.mark.parametrize("first", [0, 1, 2])
def test_a_folder_has_colour_where_one_image_has(tmp_path: Path, target: str, first: int):
    images = [BLACK, RED, RED]
    source = unlike(tmp_path / "in", *images[first:], *images[:first])
    codec = "ffv1" if target.endswith(".mkv") else None
    restore_video(Identity(), source, tmp_path / target, codec=codec)
    wanted = [(0, 0, 0), (200, 0, 42), (200, 0, 42)]
    assert values(tmp_path / target) == wanted[first:] + wanted[:first]


def test_an_image_repeats_one_only_with_all_its_planes(tmp_path: Path):
    blue = Image.new("RGB", (32, 24), (0, 60, 200))
    summary = restore_video(Identity(), unlike(tmp_path / "in", blue, BLACK), tmp_path / "out")
    assert (values(tmp_path / "out"), summary.repeats) == ([(0, 60, 200), (0, 0, 0)], 0)


@pytest.mark.parametrize("deep_first", [True, False])
def test_images_of_two_depths_become_the_deeper(tmp_path: Path, deep_first: bool):
    images = (DEEP, RED) if deep_first else (RED, DEEP)
    restore_video(Identity(), unlike(tmp_path / "in", *images), tmp_path / "out")
    wanted = [(30001,) * 3, (200 * 257, 0, 42 * 257)]
    assert values(tmp_path / "out") == (wanted if deep_first else wanted[::-1])


def test_coarse_chroma_is_not_that_of_finer_images(tmp_path: Path):
    source = folder(tmp_path / "in", 1)
    image = Image.fromarray(picture(1))
    image.save(tmp_path / "in" / "f1.jpg", subsampling=2)
    image.save(tmp_path / "in" / "f2.jpg", subsampling=0)
    with open_reader(source) as reader:
        assert (reader.info.color.matrix, reader.info.chroma) == ("rgb", (1, 1))
    (source / "f0.png").unlink()
    with open_reader(source) as reader:
        assert (reader.info.color.matrix, reader.info.chroma) == ("bt601", (1, 1))
    image.convert("L").save(source / "f0.jpg")
    (source / "f2.jpg").unlink()
    with open_reader(source) as reader:
        assert (reader.info.color.matrix, reader.info.chroma) == ("bt601", (2, 2))


def test_images_of_two_sizes_are_refused(tmp_path: Path):
    source = folder(tmp_path / "in")
    Image.fromarray(picture(0, 22, 30)).save(source / "f3.png")
    with (
        open_reader(source) as reader,
        pytest.raises(
            MediaError, match="expected images of one size, f0.png is 30x20 and f3.png is 30x22"
        ),
    ):
        list(reader)


def test_alpha_is_left_out_aloud(tmp_path: Path):
    Image.fromarray(picture()).convert("RGBA").save(tmp_path / "a.png")
    with open_reader(tmp_path / "a.png") as reader:
        assert reader.warnings == ["the alpha channel is left out"]
        assert len(next(reader).planes) == 3


def test_alpha_of_a_later_image_is_left_out_aloud(tmp_path: Path):
    opaque, holes = RED, RED.convert("RGBA")
    holes.putpixel((3, 3), (1, 2, 3, 0))
    said: list[str] = []
    restore_video(Identity(), unlike(tmp_path / "in", opaque, holes, opaque), tmp_path / "out",
                  say=said.append)  # fmt: skip
    assert said == ["the alpha channel is left out"]


@pytest.mark.parametrize("name", ["a.gif", "a.png"])
def test_a_palette_has_alpha_only_where_it_is_used(tmp_path: Path, name: str):
    image = Image.fromarray(picture()).quantize(16)
    image.save(tmp_path / name)
    with open_reader(tmp_path / name) as reader:
        assert reader.warnings == []
    image.save(tmp_path / name, transparency=image.getpixel((0, 0)))
    with open_reader(tmp_path / name) as reader:
        assert reader.warnings == ["the alpha channel is left out"]


def test_broken_images_are_refused(tmp_path: Path):
    Image.fromarray(picture()).save(tmp_path / "a.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "a.png").read_bytes()[:60])
    (tmp_path / "text.png").write_text("hello")
    head = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + (60000).to_bytes(4, "big") * 2 + b"\x08\x02\0\0\0"
    (tmp_path / "bomb.png").write_bytes(head + bytes(200))
    Image.fromarray(picture()).save(tmp_path / "jpeg.tif", compression="jpeg")
    for name, text in [
        ("cut.png", "the image .*cut.png is broken or too large"),
        ("text.png", "expected a PNG, JPEG, TIFF, BMP, WebP, .* image, .*text.png is none"),
        ("bomb.png", "the image .*bomb.png is broken or too large"),
        ("jpeg.tif", "a TIFF with JPEG inside, which is not supported"),
    ]:
        with pytest.raises(MediaError, match=text):
            open_reader(tmp_path / name)


# Writing -----------------------------------------------------------------------------------------


def test_a_folder_keeps_its_names_and_pixels(tmp_path: Path):
    source = folder(tmp_path / "in")
    _, writer = copy(source, tmp_path / "out")
    assert sorted(file.name for file in writer.path.iterdir()) == ["f0.png", "f1.png", "f2.png"]
    for index in range(3):
        again = np.asarray(Image.open(tmp_path / "out" / f"f{index}.png"))
        np.testing.assert_array_equal(again, picture(index))
    assert writer.warnings == []


def test_grey_stays_grey(tmp_path: Path):
    source = tmp_path / "in"
    source.mkdir()
    Image.fromarray(picture()).convert("L").save(source / "a.jpg", quality=95)
    copy(source, tmp_path / "out")
    image = Image.open(tmp_path / "out" / "a.png")
    assert image.mode == "L"
    np.testing.assert_array_equal(np.asarray(image), shown(read_image(source / "a.jpg"))[..., 0])


def test_same_names_of_two_kinds_are_numbered(tmp_path: Path):
    source = folder(tmp_path / "in", 1)
    Image.fromarray(picture(1)).save(source / "f0.bmp")
    _, writer = copy(source, tmp_path / "out")
    assert sorted(f.name for f in writer.path.iterdir()) == ["000000.png", "000001.png"]


def test_a_video_becomes_numbered_images(tmp_path: Path):
    source = make_video(tmp_path / "a.mp4", sound=["aac"])
    _, writer = copy(source, tmp_path / "out", start=0.3, end=0.6)
    wanted = [time for time in video_times(source) if Fraction(3, 10) <= time < Fraction(6, 10)]
    names = sorted(file.name for file in writer.path.iterdir())
    assert names == [f"{index:06d}.png" for index in range(len(wanted))]
    assert writer.warnings == ["sound and subtitles are left out: images hold none"]
    clip = read_clip(source)
    first = video_times(source).index(wanted[0])
    again = torch.from_numpy(np.asarray(Image.open(writer.path / "000000.png")).copy())
    assert torch.equal(again, clip[first].permute(1, 2, 0))


TURNED = {  # as a player shows them: stored matrix, and what to do to rows and columns
    "anticlockwise": ((0, -1, 1, 0), lambda image: np.rot90(image)),
    "upside down": ((-1, 0, 0, -1), lambda image: np.rot90(image, 2)),
    "clockwise": ((0, 1, -1, 0), lambda image: np.rot90(image, -1)),
    "mirrored": ((-1, 0, 0, 1), lambda image: image[:, ::-1]),
    "along the diagonal": ((0, 1, 1, 0), lambda image: image.swapaxes(0, 1)),
}


@pytest.mark.parametrize("turn", TURNED)
@pytest.mark.parametrize("form", ["yuv420p", "yuv420p10le"])
def test_a_turned_video_becomes_upright_images(tmp_path: Path, turn: str, form: str):
    (a, b, c, d), shown_as = TURNED[turn]
    matrix = (a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30)
    plain = make_video(tmp_path / "a.mkv", codec="ffv1", form=form, pts=[0, 3000])
    turned = make_video(tmp_path / "b.mkv", codec="ffv1", form=form, pts=[0, 3000], matrix=matrix)
    assert copy(plain, tmp_path / "plain")[1].warnings == []
    copy(turned, tmp_path / "turned")
    before, after = (as_array(tmp_path / name / "000001.png") for name in ("plain", "turned"))
    np.testing.assert_array_equal(after, shown_as(before))


def as_array(path: Path) -> np.ndarray:
    """An image with 8 or 16 bits, as FFmpeg reads it."""
    with av.open(str(path)) as image:
        return next(image.decode(video=0)).to_ndarray()


def test_a_pixel_aspect_is_left_out_of_images_aloud(tmp_path: Path):
    source = make_video(tmp_path / "a.mkv", aspect=Fraction(4, 3))
    _, writer = copy(source, tmp_path / "out")
    assert writer.warnings == ["the pixel aspect 4/3 is not written in images"]


def test_images_become_a_video_at_their_rate(tmp_path: Path):
    source = folder(tmp_path / "in", 4)
    copy(source, tmp_path / "a.mp4", fps=12.5)
    assert video_times(tmp_path / "a.mp4") == [Fraction(2 * index, 25) for index in range(4)]
    with open_reader(tmp_path / "a.mp4") as reader:
        color = reader.info.color
        frame = next(reader)
    assert (color.matrix, color.full_range, color.matrix_code) == ("bt601", False, 6)
    assert (shown(frame) - torch.from_numpy(picture(0))).abs().mean() < 3
    copy(source, tmp_path / "b.mkv", fps=12.5, start=0.1)
    assert len(video_times(tmp_path / "b.mkv")) == 2


def test_folders_are_replaced_only_where_they_hold_images_alone(tmp_path: Path):
    source = folder(tmp_path / "in")
    target = folder(tmp_path / "out", 7)
    with pytest.raises(MediaError, match="out exists already"):
        copy(source, target)
    copy(source, target, overwrite=True)
    assert len(list(target.iterdir())) == 3
    (target / "notes.txt").touch()
    with pytest.raises(MediaError, match="out holds more than images and is left as it is"):
        copy(source, target, overwrite=True)
    (tmp_path / "file").touch()
    with pytest.raises(MediaError, match="file is a file and is left as it is"):
        copy(source, tmp_path / "file", overwrite=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "in", "out"]


def test_an_interrupted_folder_leaves_nothing(tmp_path: Path):
    source = folder(tmp_path / "in")

    def broken() -> None:
        with (
            open_reader(source) as reader,
            open_writer(tmp_path / "out", reader=reader, output=OutputFormat(30, 20)) as writer,
        ):
            writer.write(next(reader))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        broken()
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_write_png_rounds(tmp_path: Path):
    rgb = torch.rand(3, 5, 7, generator=torch.Generator().manual_seed(0)) * 1.2 - 0.1
    write_png(tmp_path / "a.png", rgb)
    wanted = (rgb.clamp(0, 1) * 255).round().permute(1, 2, 0)
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "a.png")), wanted)
    with av.open(str(tmp_path / "a.png")) as image:  # and as others read it
        assert image.streams.video[0].codec_context.pix_fmt == "rgb24"
