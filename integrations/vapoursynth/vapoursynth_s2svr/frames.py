"""Frames of VapourSynth as RGB and back, in the same format."""

from collections.abc import Mapping

import numpy as np
import torch
import vapoursynth as vs
from torch import Tensor

from s2svr.color import WEIGHTS, ColorInfo, from_rgb, guess_matrix, to_open_rgb

# By the numbers of ITU-T H.273, and of VapourSynth.
MATRICES = {1: "bt709", 5: "bt601", 6: "bt601", 7: "smpte240m", 9: "bt2020"}
SITINGS = dict(enumerate(("left", "center", "topleft", "top", "bottomleft", "bottom")))


def check_format(clip: vs.VideoNode) -> vs.VideoFormat:
    """The format of a clip; vs.Error, which names it, where it cannot be restored."""
    form = clip.format
    if form is None or form.color_family == vs.UNDEFINED:
        raise vs.Error(
            "s2svr.restore: expected one format for all frames, and this clip's varies; "
            "convert it first, with resize.Bicubic(format=...)"
        )
    if not (clip.width and clip.height):
        raise vs.Error(
            f"s2svr.restore: expected one size for all frames, and that of this {form.name} clip "
            "varies; resize or cut it first"
        )
    floats = form.sample_type == vs.FLOAT
    chroma = form.subsampling_w <= 1 and form.subsampling_h <= 1
    if (floats and form.color_family != vs.RGB) or form.bits_per_sample > 32 - 16 * (not floats):
        chroma = False
    if not chroma:
        raise vs.Error(
            "s2svr.restore: expected RGBS, RGBH, RGB of 8 to 16 bits, grey or YUV of 8 to 16 bits "
            f"with chroma 4:2:0, 4:2:2, 4:4:0 or 4:4:4, got {form.name}; convert it with resize"
        )
    return form


def color_of_frame(form: vs.VideoFormat, size: tuple[int, int], props: Mapping) -> ColorInfo:
    """What the codes of a frame of a size (width, height) mean, by its properties or as usual."""
    if "_Range" in props:  # of newer VapourSynths: 1 is full
        full = int(props["_Range"]) == 1
    else:
        full = int(props.get("_ColorRange", form.color_family == vs.YUV)) == 0
    if form.color_family == vs.RGB:
        return ColorInfo("rgb", full, form.bits_per_sample)
    if form.color_family == vs.GRAY:
        return ColorInfo("gray", full, form.bits_per_sample)
    matrix = MATRICES.get(int(props.get("_Matrix", 2))) or guess_matrix(*size)
    siting = SITINGS.get(int(props.get("_ChromaLocation", 0)), "left")
    assert matrix in WEIGHTS
    return ColorInfo(matrix, full, form.bits_per_sample, siting=siting)


def to_tensor(frame: vs.VideoFrame) -> Tensor:
    """A frame as RGB (3, H, W) in [0, 1], about."""
    planes = tuple(torch.from_numpy(np.array(frame[i])) for i in range(frame.format.num_planes))
    if frame.format.sample_type == vs.FLOAT:
        return torch.stack(planes).float()
    color = color_of_frame(frame.format, (frame.width, frame.height), frame.props)
    return to_open_rgb(planes, color)


def write_planes(rgb: Tensor, source: vs.VideoFrame, target: vs.VideoFrame) -> None:
    """Write a restored frame (3, sH, sW) into a frame of the format of its source."""
    form = target.format
    if form.sample_type == vs.FLOAT:
        planes = tuple(rgb.to(torch.float16 if form.bits_per_sample == 16 else torch.float32))
    else:
        color = color_of_frame(form, (source.width, source.height), source.props)
        planes = from_rgb(rgb, color, (1 << form.subsampling_w, 1 << form.subsampling_h))
    for index, plane in enumerate(planes):
        np.copyto(np.asarray(target[index]), plane.cpu().numpy(), casting="same_kind")
