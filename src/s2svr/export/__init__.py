"""Networks as files for other runtimes."""

from .onnx import export_onnx

__all__ = ["export_onnx"]
