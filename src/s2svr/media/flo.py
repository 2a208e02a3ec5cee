"""Flow in Middlebury's .flo files and in its colours."""

import struct
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

MAGIC = 202021.25  # "PIEH" as a little-endian float
UNKNOWN = 1e9  # Middlebury marks pixels whose flow is not known by more than this
# The colour circle, from right over down, left and up: each colour's place among 55 steps.
# Baker et al., A Database and Evaluation Methodology for Optical Flow, 2011.
STEPS = 55
CIRCLE = {0: (1, 0, 0), 15: (1, 1, 0), 21: (0, 1, 0), 25: (0, 1, 1), 36: (0, 0, 1), 49: (1, 0, 1)}


def read_flo(path: Path) -> Tensor:
    """Read the flow (2, H, W) of a .flo file, in pixels: right, down. Raises ValueError."""
    data = Path(path).read_bytes()
    magic, width, height = struct.unpack("<fii", data[:12]) if len(data) >= 12 else (0.0, 0, 0)
    if magic != MAGIC or min(width, height) < 1:
        raise ValueError(f"expected a .flo file of Middlebury's layout, {path} is none")
    if len(data) != 12 + 8 * width * height:
        raise ValueError(
            f"expected {12 + 8 * width * height} bytes for {width}x{height} pixels of flow, "
            f"{path} has {len(data)}; it may be cut off"
        )
    values = np.frombuffer(data, "<f4", offset=12).reshape(height, width, 2)
    return torch.from_numpy(values.astype(np.float32)).permute(2, 0, 1).contiguous()


def flow_folder(folder: Path) -> tuple[list[Path], list[Path]]:
    """The .flo files of a clip, in order: of each frame to the next one, and of that one back.

    They lie in the folders ``flow`` and ``backward``. ValueError where they are not there, or
    not as many of both.
    """
    forward, backward = (sorted(Path(folder, way).glob("*.flo")) for way in ("flow", "backward"))
    if not forward or len(forward) != len(backward):
        raise ValueError(
            f"expected .flo files in {folder}/flow and {folder}/backward, in each one less than "
            f"the clip has frames, got {len(forward)} and {len(backward)}"
        )
    return forward, backward


def read_known_flow(path: Path, size: tuple[int, int]) -> Tensor:
    """Read the flow (2, H, W) of frames of ``size`` (H, W); ValueError for any other, or gaps."""
    flow = read_flo(path)
    height, width = flow.shape[1:]
    if (height, width) != size:
        raise ValueError(
            f"expected flow of {size[1]}x{size[0]} pixels, as the frames have that are restored, "
            f"{path} has {width}x{height}"
        )
    if not (flow.abs() < UNKNOWN).all():
        raise ValueError(f"expected flow that is known everywhere, {path} has pixels without")
    return flow


def write_flo(path: Path, flow: Tensor) -> None:
    """Write flow (2, H, W) in pixels as a .flo file."""
    if flow.ndim != 3 or len(flow) != 2:
        raise ValueError(f"expected flow (2, H, W), got {tuple(flow.shape)}")
    height, width = flow.shape[1:]
    values = flow.detach().cpu().permute(1, 2, 0).numpy().astype("<f4")
    Path(path).write_bytes(struct.pack("<fii", MAGIC, width, height) + values.tobytes())


def flow_to_color(flow: Tensor, longest: float | None = None) -> Tensor:
    """Flow (..., 2, H, W) -> RGB (..., 3, H, W) in [0, 1]: direction as hue, no motion as white.

    Flow of ``longest`` pixels (the longest there is, if None) has the full colour; longer flow is
    darker. Unknown flow, as Middlebury marks it (beyond UNKNOWN or NaN), is black.
    """
    known = (flow.abs() < UNKNOWN).all(-3, keepdim=True)
    flow = torch.where(known, flow, torch.zeros_like(flow))
    length = flow.norm(dim=-3)
    if longest is None:
        longest = float(length.max()) if length.numel() else 0.0
    length = length / max(longest, 1e-6)
    angle = torch.atan2(flow[..., 1, :, :], flow[..., 0, :, :]) / (2 * torch.pi) % 1  # turns
    steps = (angle * STEPS).cpu().numpy()
    hues = [
        np.interp(steps, [*CIRCLE, STEPS], [*column, column[0]])
        for column in zip(*CIRCLE.values(), strict=True)
    ]
    hue = torch.from_numpy(np.stack(hues, -3)).to(flow)
    length = length.unsqueeze(-3)
    color = torch.where(length <= 1, 1 - length * (1 - hue), 0.75 * hue)
    return color * known
