"""Photographs, and endless clips of them."""

import struct
import zlib
from fractions import Fraction

import pytest
import skimage.data
import torch
from torch import Generator
from torch.utils.data import default_collate

from s2svr.media import read_clip
from s2svr.render import photos
from s2svr.render.files import write_movie
from s2svr.render.photos import (
    FREE,
    MovingPhotographs,
    choose_photos,
    free_photographs,
    photograph,
    photographs,
)
from s2svr.render.scene import Look
from s2svr.writing.images import write_png


def pictures(count: int = 3) -> list[torch.Tensor]:
    generator = Generator().manual_seed(0)
    return [torch.rand(3, 40 + 4 * i, 56, generator=generator) for i in range(count)]


def test_photographs_are_the_images_of_a_folder(tmp_path):
    (tmp_path / "deep").mkdir()
    for name, picture in zip(("b.png", "a.png", "deep/c.png"), pictures(), strict=True):
        write_png(tmp_path / name, picture)
    (tmp_path / "notes.txt").write_text("no picture")
    found = photographs(tmp_path)
    wanted = [(pictures()[i] * 255).round().to(torch.uint8) for i in (1, 0, 2)]
    assert all(torch.equal(a, b) for a, b in zip(found, wanted, strict=True))
    assert len(photographs(tmp_path, most=2)) == 2
    assert torch.equal(photographs(tmp_path / "b.png")[0], wanted[1])


def test_a_video_lends_its_middle_frame(tmp_path):
    path = tmp_path / "clip.mp4"
    greys = [torch.full((3, 32, 48), value / 8) for value in range(7)]
    write_movie(path, greys, Fraction(25))
    assert float(photograph(path).float().mean() / 255) == pytest.approx(3 / 8, abs=0.01)


def test_no_photographs(tmp_path):
    with pytest.raises(ValueError, match="expected a folder with photographs or videos"):
        photographs(tmp_path)
    with pytest.raises(ValueError, match="at least one photograph, got none"):
        MovingPhotographs([], frames=2, size=(8, 8))


def test_free_photographs_are_those_of_scikit_image(monkeypatch):
    found = free_photographs()
    assert len(found) == len(FREE)
    assert torch.equal(found[0], torch.from_numpy(skimage.data.astronaut()).permute(2, 0, 1))
    assert all(photo.dtype == torch.uint8 and min(photo.shape[1:]) > 290 for photo in found)
    monkeypatch.setattr(photos, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match="scikit-image are used, which is not installed"):
        free_photographs()


def test_choose_turns_codes_into_numbers():
    codes = torch.full((3, 4, 4), 51, dtype=torch.uint8)
    chosen = choose_photos([codes, torch.full((3, 4, 4), 0.2)], Generator().manual_seed(0))
    torch.testing.assert_close(torch.stack(chosen), torch.full((4, 3, 4, 4), 0.2))


def test_items_depend_on_seed_and_index_alone():
    clips = MovingPhotographs(pictures(), frames=2, size=(24, 32), seed=3, look=Look(noise=0.1))
    item = clips[7]
    clips[2]
    for other in (clips[7], MovingPhotographs.__getitem__(clips, 7)):
        assert all(torch.equal(a, b) for a, b in zip(item, other, strict=True))
    assert not torch.equal(clips[8].frames, item.frames)
    other_seed = MovingPhotographs(
        pictures(), frames=2, size=(24, 32), seed=4, look=Look(noise=0.1)
    )
    assert not torch.equal(other_seed[7].frames, item.frames)


def test_a_batch_is_its_items():
    clips = MovingPhotographs(pictures(), frames=2, size=(24, 32), look=Look(noise=0.05))
    together, apart = clips.batch([1, 4]), default_collate([clips[1], clips[4]])
    assert type(apart) is type(together)
    torch.testing.assert_close(together.frames, apart.frames, atol=2e-3, rtol=0)
    torch.testing.assert_close(together.flow_forward, apart.flow_forward, atol=2e-3, rtol=0)


def test_a_png_with_a_color_profile_is_read(tmp_path):
    """PyAV frees a profile's name twice once it has read the side data, which ends the process."""
    path = tmp_path / "a.png"
    write_png(path, pictures(1)[0])
    plain, picture = path.read_bytes(), read_clip(path)
    body = b"iCCPname\0\0" + zlib.compress(b"profile")
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    after_header = 8 + 25  # signature, IHDR
    path.write_bytes(plain[:after_header] + chunk + plain[after_header:])
    for _ in range(3):
        assert torch.equal(read_clip(path), picture)
