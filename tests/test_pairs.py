"""Any two folders or videos as truth and input."""

from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from media_clips import make_video
from s2svr.checkpoint import Card, save
from s2svr.cli.app import app
from s2svr.data import check_dataset
from s2svr.data.pairs import paired, pairs
from s2svr.data.tree import DatasetError
from s2svr.evaluation.run import evaluate
from s2svr.media import read_clip
from s2svr.metrics import psnr_rgb
from s2svr.models.config import S2SVRConfig
from s2svr.models.s2svr import S2SVR
from s2svr.writing.images import write_png


def flat(folder: Path, codes: list[int], size: tuple[int, int] = (32, 24)) -> Path:
    folder.mkdir(parents=True)
    for t, code in enumerate(codes):
        write_png(folder / f"{t}.png", torch.full((3, size[1], size[0]), code / 255))
    return folder


def video(path: Path, **more: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return make_video(path, pts=[0, 3003, 6006], **more)


def test_clips_meet_by_their_names(tmp_path: Path):
    flat(tmp_path / "hq/one", [100, 110])
    flat(tmp_path / "lq/one", [102, 110])
    video(tmp_path / "hq/deep/two.mp4")
    video(tmp_path / "lq/deep/two.mkv", options={"crf": "40"})
    found = pairs(tmp_path)
    assert [sequence.name for sequence in found] == ["deep/two", "one"]
    assert found[0].lq == tmp_path / "lq/deep/two.mkv"
    assert found[0].source == "two"
    assert check_dataset("pairs", tmp_path) == []
    (alone,) = paired(tmp_path / "hq/one", tmp_path / "lq/one")
    assert (alone.hq, alone.lq) == (tmp_path / "hq/one", tmp_path / "lq/one")


def test_what_does_not_pair_is_named(tmp_path: Path):
    hq, lq = tmp_path / "hq", tmp_path / "lq"
    flat(hq / "one", [100, 110])
    flat(hq / "two", [100])
    flat(lq / "one", [100])
    flat(lq / "three", [100])
    assert check_dataset("pairs", tmp_path) == [f"{hq} lacks three", f"{lq} lacks two"]
    with pytest.raises(DatasetError, match=f"the pair of {hq} and {lq} is incomplete: {hq} lacks"):
        pairs(tmp_path)
    (lq / "three").rename(lq / "two")
    assert check_dataset("pairs", tmp_path) == [
        f"expected 2 frames in {lq}/one as in {hq}/one, got 1"
    ]
    flat(tmp_path / "odd", [100], (24, 24))
    with pytest.raises(DatasetError, match="a whole number of times .* 32x24 and 24x24 pixels"):
        paired(hq / "two", tmp_path / "odd")
    with pytest.raises(DatasetError, match=f"there is no file or folder {tmp_path / 'x.mp4'}"):
        paired(video(tmp_path / "v.mp4"), tmp_path / "x.mp4")


def test_a_pair_of_videos_is_evaluated_from_the_command_line(tmp_path: Path):
    truth = video(tmp_path / "truth.mkv", codec="ffv1")
    coded = video(tmp_path / "coded.mp4", options={"crf": "45"})
    torch.manual_seed(0)
    weights = tmp_path / "w.safetensors"
    save(weights, S2SVR(S2SVRConfig(channels=4, flow=None, scale=1)), Card(task="compression"))
    words = ["evaluate", truth, "--lq", coded, "--weights", weights, "--protocol", "rgb"]
    shown = CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)
    assert shown.exit_code == 0, shown.output
    assert "low quality: as it was given" in shown.stdout
    a, b = (read_clip(path).float() / 255 for path in (coded, truth))
    want = sum(psnr_rgb(x, y) for x, y in zip(a, b, strict=True)) / 3
    assert f"{want:.3f}" in shown.stdout
    short = make_video(tmp_path / "short.mp4", pts=[0, 3003])
    with pytest.raises(ValueError, match=r"as many frames .* in truth.mkv, low has fewer"):
        evaluate(Same(), paired(truth, short), lambda clip, generator: clip)


class Same(torch.nn.Module):
    """Returns its input."""

    lookahead, scale = 0, 1

    def __init__(self) -> None:
        super().__init__()
        self.none = torch.nn.Parameter(torch.zeros(()))

    def forward(self, x, state=None, lookahead=0):
        return x[:, : x.shape[1] - lookahead], None
