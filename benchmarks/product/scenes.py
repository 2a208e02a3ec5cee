"""How well cuts are found: joined clips, and what only looks like a cut.

    python benchmarks/product/scenes.py CLIPS_FOLDER [--seed 0] [--weights sr-light]

Every clip has to be one shot. Clips whose names differ after the first "_" are of different scenes.
Prints how many true cuts were found, and how many were seen where there is none. With --weights,
also whether restoring the joined clips gives, bit by bit, what restoring each alone does.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path
from random import Random

import torch
import torch.nn.functional as F
from torch import Tensor

from s2svr.checkpoint import load
from s2svr.data.folder import folder_clips
from s2svr.media import read_clip
from s2svr.restoration.cuts import find_cuts
from s2svr.restoration.frames import restore

SMALL = (90, 160)  # that clips are reduced to: ten thousand frames are held
FLASHES = {"white": (0.0, 1.0), "bright": (2.0, 0.3), "black": (0.0, 0.0), "dark": (0.2, 0.0)}


def small(path: Path) -> Tensor:
    """A clip as codes (T, 3, 90, 160)."""
    clip = F.interpolate(read_clip(path).float(), SMALL, mode="area")
    return clip.round().to(torch.uint8)


def begins(frames: Iterator[Tensor] | list[Tensor]) -> set[int]:
    """Where the detector sees a shot begin, but for the first frame."""
    found = {t for t, (_, begin) in enumerate(find_cuts(frames)) if begin}
    return found - {0}


def joined(clips: list[Tensor], lengths: list[int]) -> tuple[list[Tensor], set[int]]:
    """The first frames of each clip in a row, and where the cuts are."""
    frames: list[Tensor] = []
    cuts = set()
    for clip, length in zip(clips, lengths, strict=True):
        cuts.add(len(frames))
        frames += list(clip[:length] / 255)
    return frames, cuts - {0}


def flashed(clip: Tensor, length: int, light: tuple[float, float]) -> list[Tensor]:
    frames = list(clip / 255)
    for t in range(len(frames) // 2, len(frames) // 2 + length):
        frames[t] = (frames[t] * light[0] + light[1]).clamp(0, 1)
    return frames


def frozen(clip: Tensor, length: int, lost: bool) -> list[Tensor]:
    """The middle frame held; then the clip goes on, or is where it would be by then (``lost``)."""
    frames, middle = list(clip / 255), len(clip) // 2
    return [*frames[:middle], *[frames[middle]] * length, *frames[middle + lost * length :]]


def parted(clips: list[Tensor], length: int, black: bool) -> tuple[list[Tensor], list[set[int]]]:
    """Clips of 16 frames, after each its last frame held or black; where each cut may be seen."""
    frames: list[Tensor] = []
    places: list[set[int]] = []
    for clip in clips:
        shot = list(clip[:16] / 255)
        pause = [shot[-1] * (not black)] * length
        end = len(frames) + len(shot)
        places.append(set(range(end if black else end + length, end + length + 1)))
        frames += shot + pause
    return frames[: len(frames) - length], places[:-1]


def faded(clip: Tensor, length: int) -> list[Tensor]:
    """To black and back in the middle."""
    middle = len(clip) // 2
    return [f / 255 * min(1.0, abs(t - middle) / length) for t, f in enumerate(clip)]


def dissolved(one: Tensor, two: Tensor, length: int) -> list[Tensor]:
    start = len(one) // 2
    weights = [min(1.0, max(0.0, (t - start) / length)) for t in range(min(len(one), len(two)))]
    return [torch.lerp(one[t] / 255, two[t] / 255, w) for t, w in enumerate(weights)]


def panned(clip: Tensor, speed: int) -> list[Tensor]:
    """A window moving over the first frame and its mirror images, ``speed`` pixels a frame."""
    wide = torch.cat((clip[0], clip[0].flip(2)) * (2 + 12 * speed // 320), 2) / 255
    return [wide[:, :, speed * t : speed * t + SMALL[1]] for t in range(24)]


def restored_alike(clips: list[Tensor], weights: str) -> str:
    """Compare joined clips with each alone, 10 frames of each."""
    model = load(weights)
    frames, cuts = joined(clips, [10] * len(clips))
    together = list(restore(model, frames, window=8))
    alone = [y for t in [0, *sorted(cuts)] for y in restore(model, frames[t : t + 10], cuts=None)]
    equal = [torch.equal(a, b) for a, b in zip(together, alone, strict=True)]
    return f"restored: {sum(equal)} of {len(equal)} frames are as if their clip were alone"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clips", type=Path)
    parser.add_argument("--weights")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    torch.set_num_threads(1)
    random = Random(given.seed)
    named = [(sequence.name, small(sequence.hq)) for sequence in folder_clips(given.clips)]
    clips = [clip for _, clip in named]
    scenes = {name.rsplit("/", 1)[-1].split("_", 1)[-1]: clip for name, clip in named}

    def say(what: str, wrong: list[int], where: str) -> None:
        line = f"{what:32} {sum(map(bool, wrong))} of {len(wrong)} clips with {where}"
        print(f"{line}, {sum(wrong)} in all", flush=True)  # noqa: T201

    true = found = false = 0
    for _ in range(8):
        order = random.sample(list(scenes.values()), len(scenes))
        frames, cuts = joined(order, [random.randint(2, 24) for _ in order])
        seen = begins(frames)
        true, found, false = true + len(cuts), found + len(seen & cuts), false + len(seen - cuts)
    print(f"joined: {found} of {true} cuts found, {false} seen besides", flush=True)  # noqa: T201
    for black, name in ((False, "a frozen frame"), (True, "black")):
        for length in (1, 3, 6, 12, 24):
            frames, places = parted(list(scenes.values()), length, black)
            seen, may = begins(frames), set().union(*places)
            line = f"joined by {name} for {length} frames: {sum(bool(p & seen) for p in places)}"
            line = f"{line} of {len(places)} cuts found, {len(seen - may)} seen besides"
            print(line, flush=True)  # noqa: T201
    if given.weights:
        print(restored_alike(list(scenes.values()), given.weights), flush=True)  # noqa: T201
    wrong = "false cuts"
    say("alone", [len(begins(list(clip / 255))) for clip in clips], wrong)
    say("every third frame", [len(begins(list(clip[::3] / 255))) for clip in clips], wrong)
    for name, light in FLASHES.items():
        for length in (1, 2, 3, 4, 6):
            result = [len(begins(flashed(clip, length, light))) for clip in clips]
            say(f"{name} for {length} frames", result, wrong)
    for length in (2, 6, 12):
        for lost in (False, True):
            what = f"frozen for {length} frames" + ", then a jump" * lost
            say(what, [len(begins(frozen(clip, length, lost))) for clip in clips], wrong)
    for length in (2, 4, 8):
        say(f"fade over 2 x {length}", [len(begins(faded(clip, length))) for clip in clips], wrong)
        pairs = list(zip(scenes.values(), list(scenes.values())[1:], strict=False))
        result = [len(begins(dissolved(one, two, length))) for one, two in pairs]
        say(f"dissolve over {length}", result, "a cut")
    for speed in (4, 8, 16, 24):
        result = [len(begins(panned(clip, speed))) for clip in clips]
        say(f"pan of {speed / SMALL[1]:.1%} a frame", result, wrong)


if __name__ == "__main__":
    main()
