"""How coarsely a film was coded, as its file tells, and what a network makes of that."""

import math
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import pytest
import torch

from media_clips import make_video
from s2svr import coarseness, evaluation
from s2svr.checkpoint import load
from s2svr.coarseness import (
    H264,
    HEVC,
    PAIRS,
    Coarseness,
    ExpertPair,
    blend_experts,
    central_part,
    coarseness_of,
    coding_step,
    earlier_share,
    knowing,
    with_coarseness,
)
from s2svr.damage import degradation, told_coarseness
from s2svr.damage.codecs import X265
from s2svr.data import Clip
from s2svr.ensemble import SelfEnsemble
from s2svr.evaluation import Scoring, evaluate
from s2svr.files import network_fingerprint
from s2svr.media import read_clip
from s2svr.models import (
    PRESETS,
    S2SVR,
    Earlier,
    EarlierConfig,
    movement,
    share_of_coding,
    signs,
    statistics,
)
from s2svr.restoration import restore, restore_video

EXAMPLE = Path(__file__).parent.parent / "examples" / "table.mp4"
STEADY = "ipratio=1:pbratio=1:aq-mode=0"  # one quantiser for all blocks
FLAT = "log-level=0:ipratio=1:pbratio=1:aq-mode=0:qp="


@pytest.mark.parametrize(
    ("codec", "form", "options", "step"),
    [
        ("libx264", "yuv420p", {"qp": "22", "x264-params": STEADY}, 8.0),
        ("libx264", "yuv420p", {"qp": "28", "x264-params": STEADY}, 16.0),
        ("libx264", "yuv420p10le", {"qp": "34", "x264-params": STEADY}, 8.0),  # of 63
        ("mpeg4", "yuv420p", {"qmin": "3", "qmax": "3"}, 6.0),  # twice the quantiser
        ("libx265", "yuv420p", {"x265-params": "log-level=0"}, None),  # its decoder does not tell
        ("ffv1", "yuv420p", {}, None),
    ],
)
def test_the_step_of_the_quantiser_is_told(
    tmp_path: Path, codec: str, form: str, options: dict[str, str], step: float | None
) -> None:
    path = make_video(
        tmp_path / "a.mkv", codec=codec, form=form, options=options, pts=list(range(5)),
        time_base=Fraction(1, 25), last=1,
    )  # fmt: skip
    found = coding_step(path, [Fraction(0), Fraction(1, 10)], 3)
    assert found == (step if step is None else pytest.approx(step, rel=0.01))


def test_moments_before_others_are_read_where_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_video(
        tmp_path / "a.mov", codec="mjpeg", form="yuvj420p", pts=list(range(5)),
        time_base=Fraction(1, 25), last=1,
    )  # fmt: skip
    monkeypatch.setattr(coarseness, "log_steps", lambda shown: (25 * float(p.time) for p in shown))
    found = coding_step(path, [Fraction(3, 25), Fraction(0)], 2)
    assert found == pytest.approx(2**2)  # of the frames 3, 4, 0 and 1


@pytest.mark.parametrize("form", ["yuv420p", "yuv420p10le"])
@pytest.mark.parametrize("name", ["a.mkv", "a.mp4", "a.ts"])
def test_headers_tell_the_step_of_hevc(tmp_path: Path, name: str, form: str) -> None:
    path = make_video(
        tmp_path / name, codec="libx265", form=form, options={"x265-params": FLAT + "34"},
        size=(128, 96), pts=[3600 * t for t in range(30)],
    )  # fmt: skip
    assert coarseness_of(path) == ("hevc", 34, False)


def test_decoders_tell_the_step_of_h264(tmp_path: Path) -> None:
    options = {"qp": "28", "x264-params": STEADY}
    path = make_video(tmp_path / "a.mkv", options=options)
    assert coarseness_of(path) == ("h264", pytest.approx(28), False)


@pytest.mark.parametrize(("length", "told"), [(40, 31.2), (96, 34), (192, 20)])
def test_a_short_film_is_read_as_a_whole(tmp_path: Path, length: int, told: float) -> None:
    """Of a longer one places alone; here all lie in one group, whose first pictures are read."""
    rates = "crf=36:qcomp=1:mbtree=0:keyint=infinite:zones=0,11,q=20"
    options = {"x264-params": f"{STEADY}:{rates}"}
    path = make_video(
        tmp_path / "a.mkv", options=options, pts=list(range(length)), time_base=Fraction(1, 30),
        last=1,
    )  # fmt: skip
    assert coarseness_of(path) == ("h264", pytest.approx(told, abs=1.1), False)


@pytest.mark.parametrize(("codec", "name"), [("mpeg2video", "a.mpg"), ("mpeg4", "a.avi")])
def test_decoders_tell_the_step_of_mpeg(tmp_path: Path, codec: str, name: str) -> None:
    path = make_video(
        tmp_path / name, codec=codec, options={"qmin": "8", "qmax": "8"}, pts=list(range(5)),
        time_base=Fraction(1, 25), last=1,
    )  # fmt: skip
    assert coarseness_of(path) == (codec, pytest.approx(28), False)  # a step of 16


def test_headers_tell_the_quantiser_of_vp9(tmp_path: Path) -> None:
    options = {"qmin": "40", "qmax": "40", "crf": "40", "b": "0"}
    path = make_video(tmp_path / "a.webm", codec="libvpx-vp9", options=options)
    assert coarseness_of(path) == (
        "vp9",
        pytest.approx(160, abs=8),
        False,
    )  # 160 is its index of 40


def test_headers_tell_the_quantiser_of_av1(tmp_path: Path) -> None:
    found = [
        coarseness_of(
            make_video(tmp_path / f"{crf}.mp4", codec="libsvtav1", options={"crf": str(crf)})
        )
        for crf in (20, 50)
    ]
    assert [told.codec for told in found] == ["av1", "av1"]
    assert 20 < found[0].quantiser < found[1].quantiser - 50 < 200


def test_what_tells_no_step_leaves_it_to_the_frames(tmp_path: Path) -> None:
    assert coarseness_of(make_video(tmp_path / "a.mkv", codec="ffv1")) is None
    assert coarseness_of(tmp_path) is None
    assert coarseness_of(tmp_path / "missing.mp4") is None


def test_a_broken_film_tells_what_is_whole(tmp_path: Path) -> None:
    options = {"x265-params": FLAT + "34"}
    path = make_video(
        tmp_path / "a.ts", codec="libx265", options=options, size=(128, 96),
        pts=[3600 * t for t in range(30)],
    )  # fmt: skip
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2] + b"\xff" * 2000)
    assert coarseness_of(path) == ("hevc", 34, False)


def test_a_damage_tells_what_its_file_would(tmp_path: Path) -> None:
    clip = make_video(
        tmp_path / "clip.mkv", codec="ffv1", size=(128, 96), pts=list(range(5)),
        time_base=Fraction(1, 25), last=1,
    )  # fmt: skip
    for qp in (27, 40):
        path = make_video(
            tmp_path / "a.mkv", codec="libx265", options={"x265-params": X265.format(qp)},
            size=(128, 96),
        )  # fmt: skip
        assert coarseness_of(path) == told_coarseness(f"hevc-{qp}", clip) == ("hevc", qp, False)
    assert told_coarseness("ldp-30", clip) == ("hevc", 30 + 9 / 4, False)
    options = {"crf": "28", "preset": "medium", "threads": "1", "x264-params": "asm=AVX2"}
    path = make_video(
        tmp_path / "b.mkv", size=(128, 96), options=options, pts=list(range(5)),
        time_base=Fraction(1, 25), last=1,
    )  # fmt: skip
    assert told_coarseness("x265-24", clip).adapted
    codec, quantiser, _ = told_coarseness("h264-28", clip)
    assert (codec, quantiser) == ("h264", pytest.approx(coarseness_of(path).quantiser, abs=0.5))
    assert told_coarseness("h264-34", clip).quantiser > quantiser + 3
    # A quantiser of 5 is a step of 10, which H.264 has at a quantiser of 24.
    for name, said in (("mpeg2-5", "mpeg2video"), ("mpeg4-5", "mpeg4")):
        codec, quantiser, _ = told_coarseness(name, clip)
        assert (codec, quantiser) == (said, pytest.approx(4 + 6 * math.log2(10)))
    for name in ("vp9", "av1"):
        told = [told_coarseness(f"{name}-{crf}", clip) for crf in (25, 45)]
        assert [found.codec for found in told] == [name, name]
        assert told[0].quantiser + 40 < told[1].quantiser < 255
    for other in ("coded", "hevc", "hevc-37+bicubic", "blur-7", ""):
        assert told_coarseness(other, clip) is None


def test_a_coarser_coding_asks_for_a_larger_share() -> None:
    for codec in ("hevc", "h264"):
        shares = [share_of_coding(codec, qp) for qp in range(10, 52)]
        told = [share for share in shares if share is not None]
        assert shares[0] is None  # so fine that frames have to tell
        assert told == sorted(told)
        assert 0.1 <= told[0] < 0.15
        assert told[-1] == 1.25
    assert share_of_coding("vp9", 20) is None
    assert share_of_coding("av1", 140) == pytest.approx(0.55, abs=0.02)
    assert share_of_coding("mjpeg", 30) is None


@pytest.fixture
def network() -> S2SVR:
    """A network that changes much, and says that half of it is made."""
    torch.manual_seed(3)
    model = S2SVR(replace(PRESETS["compression-light"], mixing=4, channels=8, quality=8))
    for parameter in model.body_parameters():
        parameter.data += 0.03 * torch.randn_like(parameter)
    last = model.mixer.quality.trust.tell[-1]
    torch.nn.init.zeros_(last.weight)
    torch.nn.init.constant_(last.bias, -0.5)
    return model.eval()


def test_a_network_makes_the_share_that_the_coding_asks_for(network: S2SVR) -> None:
    x = torch.rand(1, 3, 3, 48, 64)
    told = knowing(network, Coarseness("hevc", 28))
    share = share_of_coding("hevc", 28)
    with torch.no_grad():
        half, now = network(x)[0][:, 0], told(x)[0][:, 0]  # later ones see this one
    x = x[:, 0]
    assert (half - x).abs().max() > 0.01
    torch.testing.assert_close(now - x, 2 * share * (half - x), rtol=0, atol=1e-5)
    assert knowing(network, None) is network
    assert knowing(network, Coarseness("hevc", 10)) is network  # too fine
    assert knowing(network, Coarseness("mjpeg", 30)) is network
    other = S2SVR(replace(PRESETS["deblur-light"], channels=8, mixing=4, exposure=8))
    assert with_coarseness(other, Path("never read")) is other


def moved(model: S2SVR, by: float) -> dict[str, torch.Tensor]:
    """Other weights for a network."""
    weights = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    return {
        name: tensor + by if name.startswith(("encoder", "decoder")) else tensor
        for name, tensor in weights.items()
    }


@pytest.mark.parametrize(
    ("share", "fine", "coarse", "size"),
    [
        (0.1, 1.0, 0.0, 2 / 3),
        (0.55, 1.0, 0.0, 2 / 3),
        (0.675, 0.525, 0.175, 0.86),
        (0.8, 0.2, 0.2, 1 - 0.2 / 3 + 0.04),
        (0.925, 0.175, 0.525, 1 - 0.175 / 3 + 0.105),
        (1.05, 0.0, 1.0, 1.2),
        (1.25, 0.0, 1.0, 1.2),
    ],
)
def test_weights_move_towards_the_expert_for_the_coding(
    network: S2SVR, share: float, fine: float, coarse: float, size: float
) -> None:
    before = moved(network, 0.0)
    network.experts = {"of-fine": moved(network, -0.25), "of-coarse": moved(network, 0.5)}
    pair = ExpertPair(("of-fine", "of-coarse"), (0.55, 1.05), (2 / 3, 1.2), 0.6)
    assert blend_experts(network, share, pair) == pytest.approx(size)
    for name, tensor in network.state_dict().items():
        learned = name.startswith(("encoder", "decoder"))
        other = 0.5 * coarse - 0.25 * fine if learned else 0.0
        torch.testing.assert_close(tensor, before[name] + other, rtol=0, atol=1e-6)
    network.load_state_dict(before)
    assert blend_experts(network, share, pair._replace(names=("of-fine", "missing"))) == 1
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, before[name])


def test_experts_serve_where_a_file_tells_its_coding(network: S2SVR) -> None:
    x = torch.rand(1, 3, 3, 48, 64)
    with torch.no_grad():
        plain, share = network(x)[0], share_of_coding("hevc", 37)
        alone = knowing(network, Coarseness("hevc", 37))(x)[0]
        fine, coarse = HEVC.names
        network.experts = {fine: moved(network, 0.0), coarse: moved(network, 0.02)}
        assert torch.equal(network(x)[0], plain)
        told = knowing(network, Coarseness("hevc", 37))
        assert torch.equal(network(x)[0], plain)
        assert told.mixer.quality.share == pytest.approx(share / 1.2)
        network.load_state_dict(network.experts[coarse])
        network.mixer.quality.share = share / 1.2
        torch.testing.assert_close(told(x)[0], network(x)[0], rtol=0, atol=1e-5)
        assert (told(x)[0] - alone).abs().max() > 1e-3
    # Nothing learned from H.264 here.
    assert knowing(network, Coarseness("h264", 51)).mixer.quality.share == 1.25


def test_experts_for_an_earlier_coding_serve_where_there_was_one(network: S2SVR) -> None:
    network.experts = {name: moved(network, 0.01 * n) for n, name in enumerate(H264.names)}
    network.experts |= {name: moved(network, -0.02) for name in HEVC.names}
    fine, coarse = (network.experts[name] for name in H264.names)
    for codec in ("h264", "hevc"):
        told = knowing(network, Coarseness(codec, 22), 1.25)
        assert told.mixer.quality.share == pytest.approx(1.25 / 1.15)
        for name, tensor in told.state_dict().items():
            torch.testing.assert_close(tensor, coarse[name], rtol=0, atol=1e-6)
    plain = knowing(network, Coarseness("h264", 22))
    assert plain.mixer.quality.share == pytest.approx(0.45 / 0.62)
    for name, tensor in plain.state_dict().items():
        torch.testing.assert_close(tensor, fine[name], rtol=0, atol=1e-6)


def test_frames_tell_an_earlier_coding(tmp_path: Path) -> None:
    network = load("compression-light")
    once, coarse, twice = (tmp_path / f"{name}.mkv" for name in ("once", "coarse", "twice"))
    recode(EXAMPLE, once, 18)
    recode(EXAMPLE, coarse, 42)
    recode(coarse, twice, 18)
    told = earlier_share(twice, coarseness_of(twice))
    assert coarseness_of(twice).share < 0.6
    assert told == pytest.approx(coarseness_of(coarse).share, abs=0.2)
    assert with_coarseness(network, twice).mixer.quality.share == pytest.approx(
        knowing(network, coarseness_of(twice), told).mixer.quality.share
    )
    for path in (once, coarse):
        assert earlier_share(path, coarseness_of(path)) is None
    assert earlier_share(twice, Coarseness("vp9", 100)) is None  # nothing was learned from VP9
    assert earlier_share(twice, Coarseness("h264", 36)) is None  # coarse enough
    broken = twice.read_bytes()
    twice.write_bytes(broken[: len(broken) // 3])
    assert with_coarseness(network, twice) is not None


def test_what_frames_show_is_judged_together() -> None:
    torch.manual_seed(5)
    model = Earlier(EarlierConfig()).eval()
    frames = [torch.rand(2, 3, 40, 48) for _ in range(3)]
    seen = signs(frames)
    grey = [frame.mean(1) for frame in frames]
    assert seen.shape == (2, 3, len(model.mean))
    torch.testing.assert_close(seen[:, 2, : len(statistics(grey[2])[0])], statistics(grey[2]))
    torch.testing.assert_close(
        seen[:, 0, len(statistics(grey[0])[0]) :], movement(grey[0] - grey[1])
    )
    share, hevc = torch.tensor([0.4, 0.9]), torch.tensor([0.0, 1.0])
    with torch.no_grad():
        each = torch.stack([model(seen[:, t : t + 1], share, hevc) for t in range(3)])
        torch.testing.assert_close(model(seen, share, hevc), each.mean(0))
        assert not torch.allclose(model(seen, share + 0.3, hevc), each.mean(0))
        assert not torch.allclose(model(seen, share, 1 - hevc), each.mean(0))
    with pytest.raises(ValueError, match="expected 1 channel or more, got 0"):
        EarlierConfig(channels=0)


def recode(source: Path, target: Path, crf: int) -> None:
    """The first frames of a film through x264."""
    with av.open(str(source)) as reader, av.open(str(target), "w") as writer:
        film = reader.streams.video[0]
        stream = writer.add_stream("libx264", rate=25, options={"crf": str(crf), "threads": "1"})
        stream.width, stream.height, stream.pix_fmt = film.width, film.height, "yuv420p"
        for t, picture in zip(range(6), reader.decode(film), strict=False):
            plain = picture.reformat(format="yuv420p")
            plain.pts, plain.time_base, plain.pict_type = t, Fraction(1, 25), 0
            writer.mux(stream.encode(plain))
        writer.mux(stream.encode(None))


@pytest.mark.parametrize("shape", [(3, 544, 961), (3, 700, 40), (3, 4, 4)])
def test_the_middle_of_large_frames_is_asked(shape: tuple[int, int, int]) -> None:
    frame = torch.arange(shape[1] * shape[2]).view(1, *shape[1:]).expand(shape)
    found, sides = central_part(frame, (544, 960)), (min(shape[1], 544), min(shape[2], 960))
    assert found.shape[1:] == sides
    top, left = (shape[1] - sides[0]) // 2, (shape[2] - sides[1]) // 2
    assert found[0, 0, 0] == top * shape[2] + left


def test_each_codec_has_its_experts(network: S2SVR) -> None:
    names = {name for pair in (HEVC, *PAIRS.values()) for name in pair.names}
    network.experts = {name: moved(network, 0.1 * t) for t, name in enumerate(sorted(names), 1)}
    coarsest = {"hevc": 51, "h264": 51, "vp9": 255, "av1": 255, "mpeg2video": 40, "mpeg4": 40}
    for codec, quantiser in coarsest.items():
        pair = PAIRS.get(codec, HEVC)
        told = knowing(network, Coarseness(codec, quantiser))
        for key, tensor in told.state_dict().items():
            torch.testing.assert_close(tensor, network.experts[pair.names[1]][key])
        share = share_of_coding(codec, quantiser)
        assert told.mixer.quality.share == pytest.approx(share / pair.larger[1])


def test_experts_belong_to_a_networks_identity(network: S2SVR) -> None:
    seen = {network_fingerprint(network), network_fingerprint(SelfEnsemble(network))}
    for by in (0.1, 0.2):
        network.experts = {"fine": moved(network, 0.0), "coarse": moved(network, by)}
        seen |= {network_fingerprint(network), network_fingerprint(SelfEnsemble(network))}
    assert len(seen) == 6


def test_a_video_is_restored_by_what_its_file_tells(network: S2SVR, tmp_path: Path) -> None:
    path = make_video(
        tmp_path / "a.mkv", codec="libx265", options={"x265-params": FLAT + "37"}, size=(128, 96)
    )
    restore_video(network, path, tmp_path / "out.mkv", codec="ffv1", bits=16)
    frames = read_clip(path).float() / 255
    told = knowing(network, Coarseness("hevc", 37))
    expected = torch.stack(list(restore(told, frames)))
    plain = torch.stack(list(restore(network, frames)))
    assert told.mixer.quality.share == pytest.approx(0.38 + 0.047 * 15)
    got = read_clip(tmp_path / "out.mkv").float() / 255
    assert (got - expected).abs().mean() < 0.5 * (got - plain).abs().mean()


def test_an_evaluation_tells_what_files_would(
    network: S2SVR, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_video(tmp_path / "a.mkv", codec="ffv1", size=(128, 96))
    clips, damage = [Clip("a", tmp_path / "a.mkv")], degradation("hevc-37")
    untold = evaluate(network, clips, damage, Scoring(["rgb"]))
    told = evaluate(network, clips, damage, Scoring(["rgb"], damage="hevc-37"))
    assert told[0] == untold[0]  # the input
    assert told[-1] != untold[-1]
    coded = make_video(
        tmp_path / "b.mkv", codec="libx265", options={"x265-params": X265.format(37)},
        size=(128, 96),
    )  # fmt: skip
    files = [Clip("a", tmp_path / "a.mkv", coded)]
    by_file = evaluate(network, files, damage, Scoring(["rgb"]))
    monkeypatch.setattr(evaluation.run, "with_coarseness", lambda model, source: model)
    assert evaluate(network, files, damage, Scoring(["rgb"]))[-1].psnr != by_file[-1].psnr
