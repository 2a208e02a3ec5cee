"""Flow files and colours, against OpenCV and by hand."""

import cv2
import pytest
import torch

from s2svr.media.flo import flow_to_color, read_flo, write_flo


def test_flo_files_are_those_of_opencv(tmp_path):
    flow = torch.randn(2, 5, 7, generator=torch.Generator().manual_seed(0))
    ours, theirs = tmp_path / "ours.flo", tmp_path / "theirs.flo"
    write_flo(ours, flow)
    assert cv2.writeOpticalFlow(str(theirs), flow.permute(1, 2, 0).numpy())
    assert ours.read_bytes() == theirs.read_bytes()
    assert torch.equal(read_flo(theirs), flow)


def test_flo_errors(tmp_path):
    path = tmp_path / "a.flo"
    write_flo(path, torch.zeros(2, 3, 4))
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(ValueError, match="expected 108 bytes for 4x3 pixels.*has 104"):
        read_flo(path)
    path.write_bytes(b"PNG, or so")
    with pytest.raises(ValueError, match="expected a .flo file"):
        read_flo(path)
    with pytest.raises(ValueError, match=r"flow \(2, H, W\), got \(1, 2, 3, 4\)"):
        write_flo(path, torch.zeros(1, 2, 3, 4))


def test_colors_of_known_directions():
    right, up, rest, unknown, long = (5.0, 0.0), (0.0, -5.0), (0.0, 0.0), (1e10, 0.0), (10.0, 0.0)
    flow = torch.tensor([right, up, rest, unknown, long]).T[:, None]
    colors = flow_to_color(flow, 5.0)[:, 0].T.tolist()
    assert colors[0] == pytest.approx([1, 0, 0])
    # A quarter turn back from red is 41.25 of 55 steps: blue (36) on its way to magenta (49).
    assert colors[1] == pytest.approx([5.25 / 13, 0, 1], abs=1e-5)
    assert colors[2] == [1, 1, 1]
    assert colors[3] == [0, 0, 0]
    assert colors[4] == pytest.approx([0.75, 0, 0])


def test_longest_flow_has_full_color():
    flow = torch.tensor([[[1.0, 2.0]], [[0.0, 0.0]]])
    assert flow_to_color(flow)[:, 0].T.tolist() == [
        pytest.approx([1, 0.5, 0.5]),
        pytest.approx([1, 0, 0]),
    ]
    assert torch.equal(flow_to_color(torch.zeros(2, 2, 2)), torch.ones(3, 2, 2))
