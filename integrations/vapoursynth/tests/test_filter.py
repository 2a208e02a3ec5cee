"""The filter's frames against those of the command line, whole, by blocks and at random."""

import random
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest
import torch
import vapoursynth as vs
from vapoursynth_s2svr import restore

from s2svr.checkpoint import load
from s2svr.coarseness import with_coarseness
from s2svr.media import open_reader
from s2svr.restoration import restore_video

core = vs.core
FRAMES, SIZE = 24, (32, 24)


def picture(n: int, width: int, height: int, shot: int = 0) -> list[np.ndarray]:
    """A smooth pattern that moves, as codes of 4:2:0 in 8 bits."""
    planes = []
    for number, (w, h) in enumerate(
        ((width, height), (width // 2, height // 2), (width // 2, height // 2))
    ):
        y, x = np.mgrid[:h, :w]
        strength = 60 if number == 0 else 12
        wave = np.sin(0.5 * x + 0.3 * y + 0.4 * n + shot) * np.cos(0.2 * y - 0.1 * n + 2 * shot)
        planes.append(np.clip(128 + strength * wave, 16, 235).astype(np.uint8))
    return planes


def clip_of(path: Path, cut: int | None = None, *, marked: bool = False) -> vs.VideoNode:
    """A clip of FRAMES frames, which is also written to a file of raw video."""
    frames = [picture(n, *SIZE, 9 * (cut is not None and n >= cut)) for n in range(FRAMES)]
    path.write_bytes(b"".join(plane.tobytes() for planes in frames for plane in planes))
    blank = core.std.BlankClip(
        width=SIZE[0], height=SIZE[1], format=vs.YUV420P8, length=FRAMES, keep=True
    )

    def fill(n: int, f: vs.VideoFrame) -> vs.VideoFrame:
        made = f.copy()
        for index, plane in enumerate(frames[n]):
            np.copyto(np.asarray(made[index]), plane)
        if marked:
            made.props["_SceneChangePrev"] = int(n == cut)
        return made

    return core.std.ModifyFrame(blank, blank, fill)


def codes(frame: vs.VideoFrame) -> list[np.ndarray]:
    return [np.array(frame[index]) for index in range(frame.format.num_planes)]


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("raw") / "clip_32x24.yuv"


@pytest.fixture(scope="module")
def wanted(raw: Path) -> list[list[np.ndarray]]:
    """What ``s2svr restore`` makes of the file."""
    clip_of(raw)
    target = raw.with_name("out.mkv")
    restore_video(load("deblur-light"), raw, target, codec="ffv1")
    with open_reader(target) as reader:
        return [[plane.numpy().copy() for plane in frame.planes] for frame in reader]


def equal(first: list[np.ndarray], second: list[np.ndarray]) -> bool:
    return all(map(np.array_equal, first, second))


def psnr(first: list[np.ndarray], second: list[np.ndarray]) -> float:
    """Of luma, in dB."""
    error = np.mean((first[0].astype(float) - second[0].astype(float)) ** 2)
    return 99.0 if error == 0 else float(10 * np.log10(255**2 / error))


@pytest.mark.parametrize("window", [1, 5, 16])
def test_the_whole_clip_is_the_command_lines(raw: Path, wanted: list, window: int):
    clip = restore(clip_of(raw), "deblur", window=window)
    got = [codes(frame) for frame in clip.frames(close=False)]
    assert all(map(equal, got, wanted))
    assert len(got) == FRAMES


def test_the_file_of_a_clip_tells_its_coding(raw: Path, tmp_path: Path):
    coded = tmp_path / "coded.mkv"
    with av.open(str(coded), "w") as target:
        video = target.add_stream("libx264", rate=25, options={"qp": "32"})
        video.width, video.height = SIZE
        for n in range(FRAMES):
            target.mux(
                video.encode(
                    av.VideoFrame.from_ndarray(
                        np.vstack([plane.reshape(-1, SIZE[0]) for plane in picture(n, *SIZE)]),
                        "yuv420p",
                    )
                )
            )
        target.mux(video.encode(None))
    model = load("compression-light")
    told = with_coarseness(model, coded)
    assert told is not model
    restore_video(told, raw, tmp_path / "out.mkv", codec="ffv1")
    with open_reader(tmp_path / "out.mkv") as reader:
        wanted = [[plane.numpy().copy() for plane in frame.planes] for frame in reader]
    clip = restore(clip_of(raw), "compression", decoded_from=str(coded))
    assert all(equal(codes(frame), wanted[n]) for n, frame in enumerate(clip.frames()))
    plain = restore(clip_of(raw), "compression")
    assert not equal(codes(plain.get_frame(0)), wanted[0])
    with pytest.raises(vs.Error, match=r"expected the file of the clip, got none\.mkv"):
        restore(clip_of(raw), "compression", decoded_from="none.mkv")


def test_blocks_have_no_seams(raw: Path, wanted: list):
    clip = restore(clip_of(raw), "deblur", window=4)
    for first in range(0, FRAMES, 6):
        block = clip[first : first + 6]
        assert all(equal(codes(f), wanted[first + i]) for i, f in enumerate(block.frames()))


def test_random_access_is_near(raw: Path, wanted: list):
    clip = restore(clip_of(raw), "deblur", warm_up=10)
    order = list(range(FRAMES))
    random.Random(1).shuffle(order)
    worst = min(psnr(codes(clip.get_frame(n)), wanted[n]) for n in order)
    assert worst > 45
    bare = restore(clip_of(raw), "deblur", warm_up=0)
    assert not equal(codes(bare.get_frame(20)), wanted[20])
    assert psnr(codes(clip.get_frame(20)), wanted[20]) >= psnr(
        codes(bare.get_frame(20)), wanted[20]
    )


def test_marked_cuts_begin_anew(raw: Path, tmp_path: Path):
    marked = restore(clip_of(tmp_path / "a_32x24.yuv", 11, marked=True), "deblur")
    alone = clip_of(tmp_path / "b_32x24.yuv", 11)[11:]
    after = restore(alone, "deblur", scene_cuts=False)
    for n, frame in enumerate(after.frames()):
        assert equal(codes(frame), codes(marked.get_frame(11 + n)))
    before = restore(clip_of(tmp_path / "c_32x24.yuv", 11)[:11], "deblur", scene_cuts=False)
    for n, frame in enumerate(before.frames()):  # nothing beyond the cut is seen
        assert equal(codes(frame), codes(marked.get_frame(n)))


@pytest.mark.parametrize(
    "form", [vs.RGBS, vs.RGBH, vs.RGB24, vs.RGB48, vs.YUV422P10, vs.YUV444P16, vs.GRAY8]
)
def test_formats_come_out_as_they_went_in(raw: Path, form: int):
    clip = clip_of(raw)[:6]
    wanted = codes(restore(clip, "deblur").get_frame(3))
    source = (
        clip.resize.Bicubic(format=form, matrix_in=6)
        if form != vs.GRAY8
        else (core.std.ShufflePlanes(clip, 0, vs.GRAY))
    )
    if source.format.color_family == vs.YUV:
        source = source.std.SetFrameProps(_Matrix=6)
    got = restore(source, "deblur")
    assert got.format.id == form
    assert (got.width, got.height) == SIZE
    frame = got.get_frame(3)
    back = got.resize.Bicubic(format=vs.GRAY8, matrix=6) if got.format.id != vs.GRAY8 else got
    assert frame.props.get("_DurationNum") == source.get_frame(3).props.get("_DurationNum")
    assert psnr(codes(back.get_frame(3)), wanted) > 30


def test_enlarging(raw: Path):
    got = restore(clip_of(raw)[:3], "sr")
    assert (got.width, got.height, got.format.id) == (128, 96, vs.YUV420P8)
    assert got.get_frame(2).width == 128


def test_what_cannot_be_restored_is_refused_by_name():
    one = core.std.BlankClip(width=32, height=24, format=vs.YUV420P8, length=2)
    other = core.std.BlankClip(width=64, height=24, format=vs.YUV420P8, length=2)
    third = core.std.BlankClip(width=32, height=24, format=vs.RGB24, length=2)
    with pytest.raises(vs.Error, match="expected one size for all frames.*YUV420P8"):
        restore(core.std.Splice([one, other], mismatch=True))
    with pytest.raises(vs.Error, match="expected one format for all frames"):
        restore(core.std.Splice([one, third], mismatch=True))
    with pytest.raises(vs.Error, match="got YUV444PS; convert it with resize"):
        restore(core.std.BlankClip(width=32, height=24, format=vs.YUV444PS, length=2))
    with pytest.raises(vs.Error, match="s2svr.restore: expected the task sr, upscale"):
        restore(one, "enlarge")


def test_a_script_in_vspipe(raw: Path, wanted: list, tmp_path: Path):
    script = tmp_path / "script.vpy"
    script.write_text(
        f"import sys\nsys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "from pathlib import Path\nfrom test_filter import clip_of\n"
        "import vapoursynth_s2svr as s2svr\n"
        f"s2svr.restore(clip_of(Path({str(tmp_path / 'x.yuv')!r})), 'deblur').set_output()\n"
    )
    vspipe = Path(sys.executable).with_name("vspipe")
    data = subprocess.run([vspipe, script, "-"], capture_output=True, check=True).stdout
    whole = b"".join(plane.tobytes() for planes in wanted for plane in planes)
    assert data == whole
    torch.set_num_threads(1)
