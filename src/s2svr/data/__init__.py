"""Data sets: each is one function (root, split) -> list of sequences."""

from .folder import folder

DATASETS = {"folder": folder}
