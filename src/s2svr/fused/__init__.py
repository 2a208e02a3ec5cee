"""A training step of a restoration network by fewer and larger kernels, for GPUs."""

from .step import few_kernels

__all__ = ["few_kernels"]
