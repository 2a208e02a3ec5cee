"""Files that are written whole or not at all."""

import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np


def write_durably(path: Path, data: bytes) -> None:
    """Write a file that is there as a whole or, after a crash, as it was before."""
    beside = path.with_name(f"{path.name}.new")
    with beside.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
    sync_folder(path.parent)


def sync(files: Iterable[Path]) -> None:
    """Wait until files are on the disk."""
    for file in files:
        with file.open("rb") as opened:
            os.fsync(opened.fileno())


def sync_folder(folder: Path) -> None:
    """Wait until the names of a folder's files are on the disk, where the system can say so."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def write_array(path: Path, array: np.ndarray) -> None:
    """Write beside the target, then rename, so that a killed run leaves no half array."""
    beside = path.with_suffix(f".{os.getpid()}.tmp")
    with beside.open("wb") as file:
        np.save(file, array)
    beside.replace(path)
