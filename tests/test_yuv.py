"""Raw video: bytes come back as planes, and what a name or file lacks is said."""

from pathlib import Path

import numpy as np
import pytest
import torch

from s2svr.color import ColorInfo, to_rgb
from s2svr.media import open_reader, read_clip
from s2svr.media.errors import MediaError


def raw(path: Path, frames: int, width: int, height: int) -> np.ndarray:
    """Random frames, written to path."""
    size = width * height + 2 * ((width + 1) // 2) * ((height + 1) // 2)
    codes = np.random.default_rng(0).integers(0, 256, (frames, size), dtype=np.uint8)
    codes.tofile(path)
    return codes


@pytest.mark.parametrize(("width", "height"), [(6, 4), (5, 3)])
def test_planes_are_the_files_bytes_in_order(tmp_path: Path, width: int, height: int):
    path = tmp_path / f"clip_a_{width}x{height}_3.yuv"
    codes = raw(path, 3, width, height)
    with open_reader(path) as reader:
        frames = list(reader)
    assert len(frames) == 3
    for frame, wanted in zip(frames, codes, strict=True):
        assert torch.equal(torch.cat([p.flatten() for p in frame.planes]), torch.tensor(wanted))
        assert frame.planes[0].shape == (height, width)
        assert frame.planes[1].shape == ((height + 1) // 2, (width + 1) // 2)


def test_a_clip_is_read_as_limited_bt601(tmp_path: Path):
    path = tmp_path / "clip_8x4.yuv"
    raw(path, 2, 8, 4)
    with open_reader(path) as reader:
        frame = next(reader)
    wanted = to_rgb(frame.planes, ColorInfo("bt601"))
    assert torch.equal(read_clip(path)[0], (wanted * 255).round().to(torch.uint8))
    large = tmp_path / "large_1280x2.yuv"
    raw(large, 1, 1280, 2)
    with open_reader(large) as reader:
        assert reader.info.color.matrix == "bt709"


def test_start_and_end_count_frames_at_the_rate(tmp_path: Path):
    path = tmp_path / "clip_4x4.yuv"
    codes = raw(path, 10, 4, 4)
    with open_reader(path, fps=10, start=0.25, end=0.5) as reader:
        first = [int(frame.planes[0][0, 0]) for frame in reader]
    assert first == codes[3:5, 0].tolist()


def test_a_cut_off_frame_is_damage(tmp_path: Path):
    path = tmp_path / "clip_4x4.yuv"
    path.write_bytes(bytes(24 * 2 + 7))
    with open_reader(path) as reader:
        assert len(list(reader)) == 2
        assert reader.damage == ["frame 2 is cut off after 7 of 24 bytes"]


def test_names_without_a_size_and_empty_files_are_refused(tmp_path: Path):
    nameless, empty = tmp_path / "clip.yuv", tmp_path / "clip_4x4.yuv"
    nameless.write_bytes(bytes(24))
    empty.write_bytes(bytes(23))
    with pytest.raises(MediaError, match=r"expected a name like clip_416x240.yuv.*got clip.yuv"):
        open_reader(nameless)
    with pytest.raises(MediaError, match=r"clip_4x4.yuv holds no whole frame of 4x4"):
        open_reader(empty)
    empty.write_bytes(bytes(24))
    with pytest.raises(MediaError, match="no whole frame of 4x4 in the time asked for"):
        open_reader(empty, start=2)
    with pytest.raises(MediaError, match="frame rate above 0, got -1"):
        open_reader(empty, fps=-1)
