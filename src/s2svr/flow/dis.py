"""Flow without learning, as a reference: OpenCV's DIS (https://arxiv.org/abs/1603.03590)."""

import numpy as np
import torch
from torch import Tensor

from ..losses import mostly_luma
from .score import Flow

DIS = "DIS"


def dis_flow() -> Flow:
    """OpenCV's Dense Inverse Search at its ``medium`` preset; a flow of (B, 3, H, W) frames.

    Raises ValueError where OpenCV is not installed.
    """
    try:
        import cv2
    except ImportError:
        raise ValueError(
            "expected OpenCV for its DIS flow, it is not installed; "
            "install the test extra or opencv-python-headless"
        ) from None
    estimator = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)

    def flow(a: Tensor, b: Tensor) -> Tensor:
        grey = [
            (mostly_luma(x)[:, 0].clamp(0, 1) * 255).round().to(torch.uint8).numpy()
            for x in (a.cpu(), b.cpu())
        ]
        found = [
            estimator.calc(one, two, np.zeros((*one.shape, 2), np.float32))
            for one, two in zip(*grey, strict=True)
        ]
        return torch.stack([torch.from_numpy(f).permute(2, 0, 1) for f in found]).to(a)

    return flow
