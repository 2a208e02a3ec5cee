"""Rendered clips on disk."""

from fractions import Fraction

import av
import pytest
import torch
from torch import Generator

from s2svr.media import read_clip
from s2svr.media.flo import read_flo
from s2svr.ops import warp
from s2svr.render.files import SOUND_RATE, render_video, write_movie
from s2svr.render.scene import Look
from s2svr.writing.images import write_png


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    coarse = torch.rand(2, 3, 8, 12, generator=Generator().manual_seed(0))
    smooth = torch.nn.functional.interpolate(coarse, scale_factor=16, mode="bilinear")
    for index, picture in enumerate(smooth):
        write_png(folder / f"{index}.png", picture)
    return folder


def test_video_flow_and_occlusion_belong_together(tmp_path, photos):
    done = []
    render_video(
        tmp_path / "out",
        seed=1,
        photos=photos,
        size=(48, 64),
        frames=11,  # more than are drawn at once
        rate=Fraction(30000, 1001),
        progress=done.append,
    )
    out = tmp_path / "out"
    assert done == list(range(1, 12))
    frames = read_clip(out / "frames").float() / 255
    assert len(frames) == 11
    names = [f"frame_{n:04}" for n in range(1, 12)]
    assert sorted(p.stem for p in (out / "flow").iterdir()) == names[:-1]
    assert sorted(p.stem for p in (out / "backward").iterdir()) == names[1:]
    for folder, step, hidden in (
        ("flow", 1, "occlusions"),
        ("backward", -1, "occlusions_backward"),
    ):
        for path in (out / folder).iterdir():
            index = names.index(path.stem)
            seen = read_clip(out / hidden / f"{path.stem}.png")[0, 0] == 0
            moved = warp(frames[index + step, None], read_flo(path)[None])[0]
            assert (moved - frames[index]).abs().mean(0)[seen].mean() < 0.02, path
    with av.open(str(out / "clip.mp4")) as file:
        video = file.streams.video[0]
        assert (video.width, video.height, video.average_rate) == (64, 48, Fraction(30000, 1001))
    film = read_clip(out / "clip.mp4").float() / 255
    assert (film - frames).abs().mean() < 0.02


def test_the_same_seed_writes_the_same_clip(tmp_path, photos):
    look = Look(text=(1, 1), noise=0.05, subframes=3)
    for name in ("a", "b"):
        render_video(
            tmp_path / name,
            seed=5,
            photos=photos,
            size=(33, 47),  # odd: chroma is kept whole
            frames=3,
            rate=Fraction(25),
            look=look,
        )
    for path in sorted((tmp_path / "a").rglob("*.*")):
        assert path.read_bytes() == (tmp_path / "b" / path.relative_to(tmp_path / "a")).read_bytes()


def test_sharp_frames_are_kept_beside_blurred_ones(tmp_path, photos):
    gaps = []
    for count, shutter in ((1, 1.0), (3, 0.0), (3, 1.0)):
        out = tmp_path / f"{count}-{shutter}"
        look = Look(speed=(6.0, 6.0), subframes=count, shutter=shutter)
        render_video(
            out, seed=2, photos=photos, size=(40, 64), frames=2, rate=Fraction(25), look=look
        )
        if count == 1:
            assert not (out / "sharp").exists()
        else:
            sharp, seen = (read_clip(out / name).float() for name in ("sharp", "frames"))
            gaps.append((sharp - seen).abs())
    still, moving = gaps
    assert still.max() <= 1  # sub-frames at one moment
    assert moving.mean() > 1


def test_an_existing_folder_is_left_alone(tmp_path, photos):
    with pytest.raises(ValueError, match="expected a new folder.*photos exists"):
        render_video(photos, seed=0, photos=photos, size=(8, 8), frames=2, rate=Fraction(25))


def test_movie_carries_sound_and_color_tags(tmp_path):
    path = tmp_path / "a.mp4"
    tone = torch.sin(torch.arange(SOUND_RATE // 2) * 0.05).repeat(2, 1) * 0.5
    picture = torch.tensor([0.8, 0.3, 0.1]).view(3, 1, 1).expand(3, 32, 48)
    write_movie(path, [picture] * 10, Fraction(20), sound=tone)
    with av.open(str(path)) as file:
        audio = file.streams.audio[0]
        heard = torch.cat([torch.from_numpy(f.to_ndarray()) for f in file.decode(audio)], 1)
        context = file.streams.video[0].codec_context
        assert (context.colorspace, context.color_range, context.color_trc) == (1, 1, 1)
    assert audio.rate == SOUND_RATE
    assert heard.shape[0] == 2
    assert abs(heard.shape[1] - SOUND_RATE // 2) <= 2048
    assert float(heard.std()) == pytest.approx(0.5 / 2**0.5, rel=0.1)
    film = read_clip(path).float() / 255
    assert film.shape == (10, 3, 32, 48)
    torch.testing.assert_close(film, picture.expand_as(film), atol=0.02, rtol=0)
