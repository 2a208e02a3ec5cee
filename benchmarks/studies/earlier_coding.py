"""Train, and test, the network that tells how coarsely a film was coded before.

    python benchmarks/studies/earlier_coding.py CLIPS --learn earlier.safetensors
    python benchmarks/studies/earlier_coding.py VAL

Clips are coded once, and twice: first coarsely, by one of four codecs, then finely, by x264 or
x265. Films for training come at several sizes, since pixels of large ones are smoother. Tests say,
of fixed codings, how many films are taken for coded before, and what share that coding asks for.
"""

import argparse
import random
import sys
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import av
import numpy as np
import torch
import torch.nn.functional as F
from coding_share import write_coded
from torch import Tensor, nn

from s2svr.checkpoint import Card, save
from s2svr.coarseness import coarseness_of, earlier_share
from s2svr.media import read_clip
from s2svr.models import Earlier, EarlierConfig, signs
from s2svr.train.partial import learn_part
from s2svr.train.recipes import AdamW

FRAMES = 12  # of a film for training,
LOOKED_AT = (0, 1, 2, 6, 7, 8)  # and which of them are
SIZES = (0.7, 1, 1, 1.5, 2)  # times as large
OPTIM = AdamW(steps=1500, rate=2e-3, weight_decay=0.3, batch=64)
APART = 0.15  # an earlier coding asks for so much larger a share than the file, or does not count
NOISE, DROPPED = 0.3, 0.3
KNEE = 0.1  # of the loss of shares: larger errors count by their size, not its square
FINEST = 0.1  # the share of a file that asks for none
ONCE = (
    *(f"libx264:crf={crf}" for crf in (18, 20, 23, 26, 30)),
    *(f"libx265:crf={crf}" for crf in (20, 24, 28)),
    *(f"libx265:qp={qp}" for qp in (22, 27, 32, 37)),
)
TWICE = (
    "libx264:crf=34 libx264:crf=18",
    "libx264:crf=34 libx264:crf=23",
    "libx264:crf=30 libx264:crf=20",
    "libvpx-vp9:crf=44 libx264:crf=20",
    "mpeg4:qmin=7,qmax=7 libx264:crf=20",
    "libx264:crf=32 libx265:crf=22",
)


class Film(NamedTuple):
    """What is known of a film."""

    seen: Tensor  # what its frames show, (N, SEEN)
    share: float  # that its file asks for
    before: float  # that an earlier coding asks for; 0 where there was none
    hevc: bool


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clips", type=Path, help="folder of clips of high quality")
    parser.add_argument("--learn", type=Path, metavar="OUT", help="train, and write the weights")
    parser.add_argument("--frames", type=int, default=24, help="of each clip of a test, the first")
    chosen = parser.parse_args()
    clips = sorted(path for path in chosen.clips.iterdir() if path.is_file())
    with TemporaryDirectory() as folder:
        if chosen.learn is None:
            test(clips, Path(folder), chosen.frames)
        else:
            films = [film for clip in clips for film in films_of(clip, Path(folder))]
            save_learned(learned(films), chosen.learn, f"{len(films)} films of {len(clips)} clips")


def films_of(clip: Path, folder: Path) -> Iterator[Film]:
    """A clip coded in eight ways, drawn at random."""
    rng = random.Random(f"1{clip.stem}")
    ways = [["once"]] * 3 + [["first", "second"]] * 3
    for codings in [[drawn(kind, rng) for kind in way] for way in ways]:
        size = rng.choice(SIZES)
        yield film_of(clip, folder, codings, size)
    rng = random.Random(f"flat1{clip.stem}")
    for _ in range(2):
        yield film_of(clip, folder, [f"libx265:qp={rng.randint(18, 34)}"], rng.choice(SIZES))


def drawn(kind: str, rng: random.Random) -> str:
    """A coding as ``write_coded`` names it: the only one, or the first or second of two."""
    if kind == "first":
        ways: dict[str, Callable[[], str]] = {
            "x264": lambda: f"libx264:crf={rng.randint(26, 38)}",
            "mpeg4": lambda: "mpeg4:qmin={0},qmax={0}".format(rng.randint(4, 12)),
            "vp9": lambda: f"libvpx-vp9:crf={rng.randint(34, 54)},cpu-used=4",
            "x265": lambda: f"libx265:crf={rng.randint(26, 36)}",
        }
        return ways[rng.choices(list(ways), (6, 1.5, 1.5, 1))[0]]()
    coarsest = 27 if kind == "second" else 32
    x264 = rng.random() < 0.7
    return f"libx264:crf={rng.randint(16, coarsest)}" if x264 else (
        f"libx265:crf={rng.randint(18, coarsest)}"
    )  # fmt: skip


def film_of(clip: Path, folder: Path, codings: list[str], size: float) -> Film:
    """A clip at a size, through some codings in turn."""
    path = clip
    if size != 1:
        path = folder / "sized.mkv"
        write_sized(clip, path, size)
    told = []
    for number, coding in enumerate(codings):
        write_coded(path, folder / f"{number}.mkv", coding, FRAMES)
        path = folder / f"{number}.mkv"
        told.append(coarseness_of(path))
    frames = [frame[None].float() / 255 for frame in read_clip(path, count=FRAMES)]
    *before, last = told
    assert last is not None
    shares = [coarseness.share or 0.0 for coarseness in before if coarseness]
    seen = signs(frames)[0, [t for t in LOOKED_AT if t < len(frames)]]
    return Film(seen, last.share or FINEST, max(shares, default=0.0), last.codec == "hevc")


def write_sized(clip: Path, path: Path, size: float) -> None:
    """Write a clip smaller, or its middle larger, without loss."""
    with av.open(str(clip)) as source, av.open(str(path), "w") as target:
        stream = target.add_stream("ffv1", rate=25)
        for t, picture in zip(range(FRAMES), source.decode(video=0), strict=False):
            rgb = picture.to_ndarray(format="rgb24")
            sides = np.array(rgb.shape[:2])
            if size > 1:
                part = (sides / size).astype(int)
                top, left = (sides - part) // 2
                rgb = np.ascontiguousarray(rgb[top : top + part[0], left : left + part[1]])
            height, width = (sides * min(size, 1)).astype(int) // 2 * 2
            plain = av.VideoFrame.from_ndarray(rgb, format="rgb24").reformat(
                int(width), int(height), format="yuv420p", interpolation="BICUBIC"
            )
            if not stream.codec_context.is_open:
                stream.width, stream.height = plain.width, plain.height
                stream.pix_fmt = "yuv420p"
            plain.pts, plain.time_base, plain.pict_type = t, Fraction(1, 25), 0
            target.mux(stream.encode(plain))
        target.mux(stream.encode(None))


def learned(films: list[Film]) -> Earlier:
    """The network, trained on films."""
    torch.manual_seed(0)
    model = Earlier(EarlierConfig())
    most = max(len(film.seen) for film in films)
    seen = torch.stack([film.seen[torch.arange(most).clamp(max=len(film.seen) - 1)]
                        for film in films])  # fmt: skip
    share, before = (torch.tensor([film[n] for film in films]) for n in (1, 2))
    hevc = torch.tensor([float(film.hevc) for film in films])
    twice = (before > share + APART).float()
    model.mean.copy_(seen.mean((0, 1)))
    model.spread.copy_(seen.std((0, 1)) + 0.005)
    model.tell.insert(2, nn.Dropout(DROPPED))

    def loss() -> Tensor:
        some = torch.randint(len(films), (OPTIM.batch,))
        noise = NOISE * model.spread * torch.randn_like(seen[some])
        told = model(seen[some] + noise, share[some], hevc[some])
        level = F.smooth_l1_loss(told[:, 1], before[some], reduction="none", beta=KNEE)
        unsure = F.binary_cross_entropy_with_logits(told[:, 0], twice[some])
        return unsure + 2 * (twice[some] * level).mean()

    learn_part(model, loss, OPTIM)
    del model.tell[2]
    return model.eval()


def save_learned(model: Earlier, path: Path, data: str) -> None:
    """Write the weights with a card."""
    card = Card("compression", recipe="earlier_coding", data=data, step=OPTIM.steps)
    save(path, model, card, half=True)


@torch.inference_mode()
def test(clips: list[Path], folder: Path, count: int) -> None:
    """Print of fixed codings how many films were coded before, as is told, and how coarsely."""
    say("| coding | taken for coded before | share then, told and right |")
    say("|---|---|---|")
    for name in (*ONCE, *TWICE):
        told, right = [], []
        for clip in clips:
            path, before = clip, None
            for number, coding in enumerate(name.split()):
                before = coarseness_of(path) if number else None
                write_coded(path, folder / f"{number}.mkv", coding, count)
                path = folder / f"{number}.mkv"
            coarseness = coarseness_of(path)
            assert coarseness is not None
            if (share := earlier_share(path, coarseness)) is not None:
                told.append(share)
                right += [before.share or 0.0] if before else []
        mean = f"{np.mean(told):.2f}" if told else ""
        say(f"| {name} | {len(told)} of {len(clips)} | {mean} {np.mean(right or [0]):.2f} |")


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
