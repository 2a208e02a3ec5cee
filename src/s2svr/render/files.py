"""Rendered clips as files: a video, its frames, flow and occlusions."""

from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from itertools import chain
from pathlib import Path

import av
from torch import Generator, Tensor

from ..color import ColorInfo, from_rgb
from ..files import whole_folder
from ..media import file_url, flow_to_color, to_picture, write_flo
from ..writing import write_png
from .frames import Rendered, render_scene, sensor_noise
from .photos import choose_photos, free_photographs, photographs
from .scene import Look, Scene, draw_scene

COLOR = ColorInfo("bt709", primaries=1, transfer=1)  # numbers of ITU-T H.273
SOUND_RATE = 48000  # samples a second
FOLDERS = ("frames", "flow", "backward", "colors", "occlusions", "occlusions_backward")
CHUNK = 8  # frames that are drawn at once


def write_movie(
    path: Path,
    frames: Iterable[Tensor],
    rate: Fraction,
    *,
    crf: int = 12,
    sound: Tensor | None = None,
) -> None:
    """Write frames (3, H, W) in [0, 1] as H.264 in BT.709, with sound as stereo AAC.

    rate in frames a second; sound (2, N) in [-1, 1] at ``SOUND_RATE``. Chroma is halved where both
    sides are even.
    """
    frames = iter(frames)
    first = next(frames)
    height, width = first.shape[-2:]
    even = height % 2 == 0 and width % 2 == 0
    name, chroma = ("yuv420p", (2, 2)) if even else ("yuv444p", (1, 1))
    with av.open(file_url(path), "w") as file:
        video = file.add_stream("libx264", rate=rate, options={"crf": str(crf), "preset": "slow"})
        video.height, video.width, video.pix_fmt = height, width, name
        context = video.codec_context
        context.colorspace = context.color_primaries = context.color_trc = context.color_range = 1
        audio = None if sound is None else file.add_stream("aac", rate=SOUND_RATE, layout="stereo")
        for frame in chain([first], frames):
            file.mux(video.encode(to_picture(from_rgb(frame.cpu(), COLOR, chroma), name)))
        file.mux(video.encode(None))
        if audio is not None and sound is not None:
            audio.bit_rate = 96000
            samples = av.AudioFrame.from_ndarray(sound.float().numpy(), "fltp", "stereo")
            samples.sample_rate, samples.pts = SOUND_RATE, 0
            file.mux(audio.encode(samples))
            file.mux(audio.encode(None))


def render_video(
    out: Path,
    *,
    seed: int,
    photos: Path | None,
    size: tuple[int, int],
    frames: int,
    rate: Fraction,
    look: Look | None = None,
    progress: Callable[[int], None] = lambda done: None,
) -> None:
    """Render a random clip of ``size`` (height, width) with its truth into a new folder.

    photos is a folder of images or videos, None for ``free_photographs``; rate in frames a second;
    progress is told the number of frames done. The folder holds clip.mp4, frames/frame_0001.png,
    flow/frame_0001.flo (to the next frame), backward/frame_0002.flo (to the one before),
    colors/frame_0001.png (flow in Middlebury's colours) and occlusions, occlusions_backward/*.png
    (white: hidden in the other frame); where frames are means of sub-frames, also
    sharp/frame_0001.png, the middle one without noise.
    """
    out, look = Path(out), look or Look()
    if out.exists():
        raise ValueError(f"expected a new folder to write to, {out} exists; choose another name")
    generator = Generator().manual_seed(seed)
    chosen = choose_photos(photographs(photos) if photos else free_photographs(), generator)
    scene = draw_scene(chosen, frames=frames, size=size, generator=generator, look=look)
    sharp = ["sharp"] if look.subframes > 1 else []

    def pictures(part: Path) -> Iterator[Tensor]:
        for start, clip in chunks(scene, size):
            for index, frame in enumerate(sensor_noise(clip.frames, float(scene.noise), generator)):
                write_truth(part, clip, index, start, max(look.speed))
                name = f"frame_{start + index + 1:04}.png"
                write_png(part / "frames" / name, frame)
                if sharp:
                    write_png(part / "sharp" / name, clip.sharp[index])
                progress(start + index + 1)
                yield frame

    with whole_folder(out) as part:
        for name in (*FOLDERS, *sharp):
            (part / name).mkdir()
        write_movie(part / "clip.mp4", pictures(part), rate)


def chunks(scene: Scene, size: tuple[int, int]) -> Iterator[tuple[int, Rendered]]:
    """A scene drawn a few frames at a time: clips, each with the number of its first frame.

    A clip has as many flows as frames, the last clip one less.
    """
    total = scene.moves.shape[2]
    for start in range(0, total, CHUNK):
        end = min(start + CHUNK, total)
        piece = scene._replace(
            moves=scene.moves[:, :, start : end + 1], gain=scene.gain[:, start : end + 1]
        )
        clip = Rendered(*(field[0] for field in render_scene(piece, size)))
        yield (
            start,
            clip._replace(frames=clip.frames[: end - start], sharp=clip.sharp[: end - start]),
        )


def write_truth(folder: Path, clip: Rendered, index: int, start: int, longest: float) -> None:
    """Write flow and occlusion between frames ``index`` and ``index + 1`` of a clip."""
    if index >= len(clip.flow_forward):
        return
    this, following = f"frame_{start + index + 1:04}", f"frame_{start + index + 2:04}"
    write_flo(folder / "flow" / f"{this}.flo", clip.flow_forward[index])
    write_flo(folder / "backward" / f"{following}.flo", clip.flow_backward[index])
    colors = flow_to_color(clip.flow_forward[index], longest)
    write_png(folder / "colors" / f"{this}.png", colors)
    for name, hidden, at in (
        ("occlusions", clip.occlusion_forward, this),
        ("occlusions_backward", clip.occlusion_backward, following),
    ):
        write_png(folder / name / f"{at}.png", hidden[index].float().expand(3, -1, -1))
