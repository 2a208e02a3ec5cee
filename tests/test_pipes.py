"""Video through pipes: equal to the files' frames, times and colours; what is refused and said."""

import errno
import io
import shutil
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import pytest
import torch
from typer.testing import CliRunner

from media_clips import VARIABLE, make_video, paint
from s2svr.checkpoint import load
from s2svr.cli.app import app
from s2svr.coarseness import with_coarseness
from s2svr.media import Frame, MediaError, open_reader
from s2svr.pipes import Ends, PipeTags, open_pipe, restore_piped
from s2svr.pipes.outgoing import is_gone
from s2svr.pipes.y4m import Y4mWatch, parse_y4m
from s2svr.restoration import Job, Summary, restore_video
from s2svr.restoration.verify import Identity

RUN = [sys.executable, "-m", "s2svr", "restore"]


def make_y4m(path: Path, form: str = "yuv420p", size: tuple[int, int] = (32, 24)) -> Path:
    """Five frames at 24000/1001, written by FFmpeg."""
    rate = Fraction(24000, 1001)
    with av.open(str(path), "w", format="yuv4mpegpipe", options={"strict": "-1"}) as output:
        video = output.add_stream("rawvideo", rate=rate)
        video.width, video.height, video.pix_fmt = *size, form
        bits = av.VideoFormat(form, 64, 64).components[0].bits
        for index in range(5):
            picture = paint(form, *size, index, 2**bits)
            picture.pts, picture.time_base = index, 1 / rate
            output.mux(video.encode(picture))
    return path


class KeepOpen:
    """A file that is written to, and cannot seek, as a pipe."""

    def __init__(self, file: io.BytesIO) -> None:
        self.file = file

    def write(self, data: bytes) -> int:
        return self.file.write(data)

    def flush(self) -> None:
        self.file.flush()


def piped(
    data: bytes, form: str = "y4m", tags: PipeTags | None = None
) -> tuple[list[Frame], Summary, bytes]:
    """The frames that come out of a pipe which changes nothing, the summary, and the bytes."""
    out = io.BytesIO()
    ends = Ends(io.BytesIO(data), KeepOpen(out), tags or PipeTags(), form)  # type: ignore[arg-type]
    summary = restore_piped(Identity(), Job(Path("-"), Path("-")), ends, fitted=False)
    with open_pipe(io.BytesIO(out.getvalue())) as reader:
        return list(reader), summary, out.getvalue()


def same(first: list[Frame], second: list[Frame]) -> bool:
    """True for equal planes at equal times."""
    return len(first) == len(second) and all(
        a.time == b.time and all(map(torch.equal, a.planes, b.planes))
        for a, b in zip(first, second, strict=True)
    )


@pytest.mark.parametrize(
    ("form", "size"),
    [
        ("yuv420p", (32, 24)),
        ("yuv420p", (33, 25)),
        ("yuv422p", (33, 24)),
        ("yuv444p", (32, 25)),
        ("yuv420p10le", (33, 25)),
        ("yuv422p10le", (32, 24)),
        ("yuv444p10le", (32, 24)),
        ("gray", (32, 24)),
        ("yuv444p16le", (32, 24)),
    ],
)
def test_a_pipe_gives_the_frames_of_the_file(tmp_path: Path, form: str, size: tuple[int, int]):
    source = make_y4m(tmp_path / "a.y4m", form, size)
    restore_video(Identity(), source, tmp_path / "b.mkv", codec="ffv1")
    with open_reader(tmp_path / "b.mkv") as reader:
        wanted = list(reader)
    for kind in ("y4m", "nut"):
        frames, summary, data = piped(source.read_bytes(), kind)
        assert summary.damage == []
        assert summary.frames == len(frames) == 5
        for index, (frame, other) in enumerate(zip(frames, wanted, strict=True)):
            assert all(map(torch.equal, frame.planes, other.planes))
            assert frame.time == index * Fraction(1001, 24000)
        if kind == "y4m":  # the colour space by the name that FFmpeg has for it
            assert data.split(b"\n")[0].split()[4] == source.read_bytes().split(b"\n")[0].split()[4]


def test_nut_keeps_variable_times_and_y4m_says_that_it_does_not(tmp_path: Path):
    source = make_video(tmp_path / "a.nut", codec="ffv1", form="yuv420p", sound=["flac"])
    frames, summary, _ = piped(source.read_bytes(), "nut")
    with open_reader(source) as reader:
        assert same(list(reader), frames)
    assert [frame.time for frame in frames] == [Fraction(t, 90000) for t in VARIABLE]
    assert any("audio flac" in line and "left out" in line for line in summary.warnings)
    frames, summary, _ = piped(source.read_bytes(), "y4m")
    assert len(frames) == len(VARIABLE)
    assert any("--output-format nut keeps times" in line for line in summary.warnings)


def test_ffmpeg_reads_aspect_rate_range_and_siting(tmp_path: Path):
    source = make_video(
        tmp_path / "a.mkv", aspect=Fraction(8, 9), tags=(2, 1, 1, 1),
        options={"chroma_sample_location": "topleft"}, pts=[0, 3003, 6006],
    )  # fmt: skip
    for kind in ("y4m", "nut"):
        with (tmp_path / f"b.{kind}").open("wb") as out:
            job = Job(source, Path("-"))
            summary = restore_piped(Identity(), job, Ends(target=out, form=kind))
        with open_reader(tmp_path / f"b.{kind}") as reader:
            assert reader.info.rate == 30
            assert len(list(reader)) == 3
            if kind == "y4m":
                assert reader.info.aspect == Fraction(8, 9)
                assert reader.info.color.full_range
                assert reader.info.color.siting == "topleft"
        tell = (
            "tell its reader -vf setparams=colorspace=bt709:color_primaries=bt709:color_trc=bt709"
        )
        (line,) = (line for line in summary.warnings if "tell its reader" in line)
        assert line.split(tell)[1] == {"y4m": "", "nut": ":range=full,setsar=8/9"}[kind]


def test_a_pipe_into_a_file(tmp_path: Path):
    source = make_y4m(tmp_path / "a.y4m")
    job = Job(Path("-"), tmp_path / "b.mkv")
    summary = restore_piped(Identity(), job, Ends(io.BytesIO(source.read_bytes())))
    restore_video(Identity(), source, tmp_path / "c.mkv")
    with open_reader(tmp_path / "b.mkv") as first, open_reader(tmp_path / "c.mkv") as second:
        assert same(list(first), list(second))
    assert summary.target == tmp_path / "b.mkv"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.y4m", "b.mkv", "c.mkv"]


@pytest.mark.parametrize("name", ["one.png", "one.jpg", "one.gif", "many.png", "many.gif"])
def test_a_pipe_into_one_picture(tmp_path: Path, name: str):
    frame = b"FRAME\n" + bytes(range(16, 16 + 24))
    data = b"YUV4MPEG2 W4 H4 F25:1 C420jpeg\n" + frame * (1 if "one" in name else 3)
    job, ends = Job(Path("-"), tmp_path / name), Ends(source=io.BytesIO(data))
    if name == "many.png":
        with pytest.raises(MediaError, match="many.png is one picture, and there is more than one"):
            restore_piped(Identity(), job, ends)
        assert list(tmp_path.iterdir()) == []
        return
    assert restore_piped(Identity(), job, ends).frames == (1 if "one" in name else 3)
    with open_reader(tmp_path / name) as reader:
        assert len(list(reader)) == (1 if "one" in name else 3)


def test_what_the_stream_does_not_say_is_said_or_given(tmp_path: Path):
    data = make_y4m(tmp_path / "a.y4m").read_bytes()
    head, rest = data.split(b"\n", 1)
    bare = b" ".join(w for w in head.split() if not w.startswith(b"XC")) + b"\n" + rest
    with open_pipe(io.BytesIO(bare)) as reader:
        assert reader.info.color.matrix == "bt601"
        assert not reader.info.color.full_range
        lines = " ".join(reader.warnings)
        assert "bt601 is taken, by the size; --matrix names another" in lines
        assert "limited is taken; --range names the other" in lines
    tags = PipeTags(matrix="bt2020", range="full")
    with open_pipe(io.BytesIO(bare), tags) as reader:
        assert (reader.info.color.matrix, reader.info.color.full_range) == ("bt2020", True)
        assert next(reader).color == reader.info.color
        assert reader.warnings == []
    tagged = head + b" XCOLORRANGE=FULL\n" + rest
    with open_pipe(io.BytesIO(tagged)) as reader:
        assert reader.info.color.full_range
        assert "range" not in " ".join(reader.warnings)


def test_what_the_file_of_a_pipe_tells_of_its_coding_counts(tmp_path: Path):
    rate, said = Fraction(25), []
    coded = make_video(
        tmp_path / "a.mkv", options={"qp": "32"}, pts=list(range(5)), time_base=1 / rate, last=1
    )
    lossless = make_video(
        tmp_path / "b.mkv", codec="ffv1", pts=list(range(5)), time_base=1 / rate, last=1
    )
    raw = io.BytesIO()
    with av.open(str(coded)) as source, av.open(raw, "w", format="nut") as target:
        video = target.add_stream("rawvideo", rate=rate)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        for number, picture in enumerate(source.decode(video=0)):
            picture.pts, picture.time_base = number, 1 / rate
            target.mux(video.encode(picture))
    model = load("compression-light")
    assert with_coarseness(model, coded) is not model
    restore_video(model, coded, tmp_path / "c.mkv", codec="ffv1")
    with open_reader(tmp_path / "c.mkv") as reader:
        wanted = list(reader)

    def restored(decoded_from: Path | None) -> list[Frame]:
        out = io.BytesIO()
        ends = Ends(io.BytesIO(raw.getvalue()), KeepOpen(out), decoded_from=decoded_from)  # type: ignore[arg-type]
        restore_piped(model, Job(Path("-"), Path("-")), ends, say=said.append)
        with open_pipe(io.BytesIO(out.getvalue())) as reader:
            return list(reader)

    unsaid = restored(None)
    assert not same(unsaid, wanted)
    assert same(restored(coded), wanted)
    assert not any("coarsely" in line for line in said)
    assert same(restored(lossless), unsaid)
    assert f"frames tell how coarsely they were coded, since {lossless} does not" in said


def test_start_and_end_of_a_pipe(tmp_path: Path):
    data = make_y4m(tmp_path / "a.y4m").read_bytes()
    with open_pipe(io.BytesIO(data), start=Fraction(1, 24), end=Fraction(4, 24)) as reader:
        assert len(list(reader)) == 3  # at 0.0417, 0.0834 and 0.1251


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "nothing came through the standard input; write it with"),
        (b"\x1a\x45\xdf\xa3 film", "expected y4m or NUT on the standard input, it begins b'"),
        (b"YUV4MPEG2 W32 F25:1\n", "a width W and a height H, got 'YUV4MPEG2 W32 F25:1'"),
        (b"YUV4MPEG2 W0 H9 F25:1\n", "a width W and a height H"),
        (b"YUV4MPEG2 W32 H24 F25:1 C440\n", "the colour space 440; known are 420, 422"),
        (b"YUV4MPEG2 W32 H24", "expected a y4m header, a line that begins YUV4MPEG2"),
        (b"YUV4MPEG2 W32 H24 F25:1 C420\n", "no picture that can be decoded"),
        (b"nut/multimedia container\0 and more", "no nut that can be read"),
    ],
)
def test_other_streams_are_refused(data: bytes, sentence: str):
    with pytest.raises(MediaError, match="standard input|y4m header") as caught:
        open_pipe(io.BytesIO(data))
    assert sentence in str(caught.value)


def test_a_stream_that_is_cut_off_in_a_frame(tmp_path: Path):
    data = make_y4m(tmp_path / "a.y4m").read_bytes()
    frames, summary, _ = piped(data[:-100])
    assert len(frames) == 4
    assert summary.damage == ["the stream is cut off in frame 4"]
    frames, summary, _ = piped(data + b"FRA")
    assert (len(frames), summary.damage) == (5, ["the stream is cut off in frame 5"])
    frames, summary, _ = piped(data + b"garbage, and more of it")
    assert len(frames) == 5
    assert "no frame begins where frame 5 should: reading stopped there" in summary.damage
    nut = make_video(tmp_path / "a.nut", codec="rawvideo").read_bytes()
    _, summary, _ = piped(nut[:-3000], "nut")
    assert summary.damage


def test_the_bytes_of_a_frame_in_parts():
    header = parse_y4m(b"YUV4MPEG2 W5 H3 F25:1 C420p10\n")
    assert header.frame_bytes == 2 * (5 * 3 + 2 * 3 * 2)
    assert parse_y4m(b"YUV4MPEG2 H3 W5 C444alpha\n").frame_bytes == 4 * 15
    data = (b"FRAME Ip\n" + bytes(54)) * 3
    for step in (1, 7, 1000):
        watch = Y4mWatch(54)
        for place in range(0, len(data), step):
            watch.see(data[place : place + step])
        assert (watch.frames, watch.inside, watch.broken) == (3, False, False)


# The command line ---------------------------------------------------------------------------------


@pytest.mark.parametrize("option", ["--restart", "--check", "--preview 1", "--plan", "--so-far x"])
def test_what_needs_a_file_is_refused_by_that_word(tmp_path: Path, option: str):
    make_y4m(tmp_path / "a.y4m")
    for ends in (["-", "-"], ["-", "b.mkv"], [str(tmp_path / "a.y4m"), "-"]):
        result = CliRunner().invoke(app, ["restore", *ends, *option.split()])
        assert result.exit_code == 2
        assert f"{option.split()[0]} needs a file" in result.output


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("- - --codec hevc", "what is written to - is raw video: leave out --codec"),
        ("- - --fps 25", "what comes through a pipe has its own times"),
        ("a.mp4 - --decoded-from README.md", "--decoded-from is of a pipe: it needs - as IN"),
        ("- - --decoded-from none.mkv", "file 'none.mkv' does not exist"),
        ("a.mp4 - --matrix bt709", "--matrix is of a pipe: it needs - as IN"),
        ("- b.mkv --output-format nut", "--output-format is of a pipe: it needs - as OUT"),
        ("a.mp4 b.mkv --range full", "--range is of a pipe: it needs - as IN"),
        ("- b.mkv --matrix bt08", "expected the colour matrix bt601 or bt709"),
        ("- b.mkv --input-format mp4", "expected the kind of stream y4m or nut, got 'mp4'"),
        ("- - --output-format avi", "expected the output format y4m or nut, got 'avi'"),
    ],
)
def test_options_that_do_not_go_together(line: str, sentence: str):
    result = CliRunner().invoke(app, ["restore", *line.split()], input=b"")
    assert result.exit_code == 2
    assert sentence in result.output


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="needs the program ffmpeg")
def test_programs_before_and_after(tmp_path: Path):
    """Real processes: ffmpeg | s2svr | ffmpeg gives what the command line makes of the file."""
    source = make_y4m(tmp_path / "a.y4m", "yuv420p10le", (18, 16))
    read = ["ffmpeg", "-v", "error", "-i", str(source), "-f", "yuv4mpegpipe", "-strict", "-1", "-"]
    write = ["ffmpeg", "-v", "error", "-i", "-", "-c:v", "ffv1", str(tmp_path / "b.mkv")]
    with subprocess.Popen(read, stdout=subprocess.PIPE) as first:
        restore = [*RUN, "-", "-", "--task", "deblur", "--no-plan", "--json"]
        with subprocess.Popen(
            restore, stdin=first.stdout, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as middle:
            assert first.stdout is not None
            first.stdout.close()
            subprocess.run(write, stdin=middle.stdout, check=True)
            said = middle.communicate()[1].decode()
    assert (first.returncode, middle.returncode) == (0, 0)
    assert '"frames": 5' in said
    with open_reader(source) as reader:
        times = [frame.time for frame in reader]
    from s2svr.checkpoint import load

    restore_video(load("deblur-light"), source, tmp_path / "c.mkv", codec="ffv1")
    with open_reader(tmp_path / "b.mkv") as got, open_reader(tmp_path / "c.mkv") as wanted:
        frames, others = list(got), list(wanted)
    assert len(frames) == 5
    for frame, other, time in zip(frames, others, times, strict=True):
        assert all(map(torch.equal, frame.planes, other.planes))
        assert abs(frame.time - time) < Fraction(1, 1000)  # Matroska's unit


class Gone(io.RawIOBase):
    """A pipe whose reader leaves after the first bytes."""

    taken = 0

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:
        self.taken += len(data)
        if self.taken > 3000:
            raise BrokenPipeError(32, "Broken pipe")
        return len(data)


@pytest.mark.parametrize("form", ["y4m", "nut"])
def test_a_reader_that_goes_away_ends_it(tmp_path: Path, form: str):
    data = make_y4m(tmp_path / "a.y4m").read_bytes()
    ends = Ends(io.BytesIO(data), Gone(), form=form)  # type: ignore[arg-type]
    with pytest.raises(BrokenPipeError):
        restore_piped(Identity(), Job(Path("-"), Path("-")), ends, fitted=False)


@pytest.mark.parametrize(
    ("number", "platform", "gone"),
    [
        (errno.EPIPE, "linux", True),
        (errno.EPIPE, "win32", True),
        (errno.EINVAL, "win32", True),  # Windows has no other word for it
        (errno.EINVAL, "linux", False),
        (errno.ENOSPC, "win32", False),
    ],
)
def test_a_reader_that_is_gone_is_known(number: int, platform: str, gone: bool):
    assert is_gone(OSError(number, "no"), platform) is gone


@pytest.mark.slow
def test_a_reader_that_goes_away_in_a_shell(tmp_path: Path):
    data = make_y4m(tmp_path / "a.y4m", size=(18, 16)).read_bytes()
    head, rest = data.split(b"\n", 1)
    (tmp_path / "many.y4m").write_bytes(head + b"\n" + rest * 8)
    restore = f"{' '.join(RUN)} - - --task deblur --no-plan --window 4 < {tmp_path / 'many.y4m'}"
    script = f"{restore} | head -c 1000 > {tmp_path / 'some'}; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True)
    assert done.stdout == "1\n"
    assert "error" not in done.stderr
    assert "Traceback" not in done.stderr
    assert "Exception" not in done.stderr
    assert (tmp_path / "some").read_bytes().startswith(b"YUV4MPEG2 W18 H16 F24000:1001 ")


def test_a_cut_stream_ends_with_1(tmp_path: Path):
    data = make_y4m(tmp_path / "a.y4m", size=(18, 16)).read_bytes()
    line = ["restore", "-", str(tmp_path / "b.mkv")]
    result = CliRunner().invoke(app, [*line, "--task", "deblur"], input=data[:-10])
    assert result.exit_code == 1
    assert "damage: the stream is cut off in frame 4" in result.output
    (tmp_path / "b.mkv").unlink()
    result = CliRunner().invoke(app, [*line, "--quality", "best"], input=b"none")
    assert result.exit_code == 2
    assert "expected y4m or NUT on the standard input" in result.output
    assert "a pipe hides how it was coded: the task is upscale; --task names another" in (
        result.output
    )


def peak(frames: int) -> int:
    """Largest memory, in bytes, of a process through which so many frames go."""
    script = (
        "import sys\n"
        "from pathlib import Path\n"
        "from s2svr.pipes import Ends, restore_piped\n"
        "from s2svr.restoration import Job, peak_memory\n"
        "from s2svr.restoration.verify import Identity\n"
        "job = Job(Path('-'), Path('-'))\n"
        "ends = Ends(sys.stdin.buffer, open('/dev/null', 'wb'))\n"
        "summary = restore_piped(Identity(), job, ends, fitted=False)\n"
        "print(summary.frames, summary.peak_memory)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b"YUV4MPEG2 W320 H240 F25:1 C420\n")
        for index in range(frames):
            process.stdin.write(b"FRAME\n" + bytes([index % 200 + 20]) * (320 * 240 * 3 // 2))
        process.stdin.close()
        count, memory = process.stdout.read().split()
    assert int(count) == frames
    return int(memory)


@pytest.mark.slow
def test_memory_is_flat():
    assert peak(2000) < 1.05 * peak(200)
