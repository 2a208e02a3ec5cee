"""Binary PPM pictures, in which FlyingChairs is published."""

import re
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from .errors import MediaError

HEADER = re.compile(rb"P6\s(?:\s*#[^\n]*\n)*\s*(\d+)\s+(\d+)\s+255\s")


def read_ppm(path: Path) -> Tensor:
    """Read a binary PPM of 8 bits: (3, H, W) uint8. Raises MediaError."""
    data = Path(path).read_bytes()
    header = HEADER.match(data)
    if header is None:
        raise MediaError(f"expected a binary PPM of 8 bits, {path} is none")
    width, height = int(header[1]), int(header[2])
    codes = np.frombuffer(data, np.uint8, offset=header.end())
    if codes.size != 3 * width * height:
        raise MediaError(
            f"expected {3 * width * height} bytes for {width}x{height} pixels, {path} has "
            f"{codes.size}; it may be cut off"
        )
    return torch.from_numpy(codes.reshape(height, width, 3).copy()).permute(2, 0, 1)
