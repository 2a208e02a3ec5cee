"""Files that are written whole or not at all, and fingerprints of files and networks."""

import errno
import hashlib
import os
import secrets
import shutil
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from torch import nn

NAME_BYTES = 255  # that file systems take for a name
SAMPLES, SAMPLE = 16, 1 << 16  # parts of a file that tell it from others, and their bytes


def hidden_beside(path: Path, ending: str) -> Path:
    """Path beside ``path`` for a hidden file or folder: its name and the ending.

    A name that would be longer than NAME_BYTES is cut between two letters and gets a digest of the
    whole, so that no two share it.
    """
    name = f".{path.name}{ending}"
    if len(os.fsencode(name)) > NAME_BYTES:
        whole_name = os.fsencode(path.name)
        ending = f"-{hashlib.sha256(whole_name).hexdigest()[:12]}{ending}"
        room = NAME_BYTES - 1 - len(os.fsencode(ending))
        name = f".{whole_name[:room].decode('utf-8', 'ignore')}{ending}"
    return path.with_name(name)


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A hidden place beside ``path`` for the block to write a file at; then it is named ``path``.

    The file is on the disk before it gets its name: after a crash, ``path`` is what it was before
    or whole. An error in the block leaves ``path`` as it was and removes what was written.
    """
    writer = threading.get_native_id()  # no other thread of any process has it
    beside = hidden_beside(path.with_name(path.stem), f".{writer}{path.suffix}")
    try:
        yield beside
        sync([beside])
        beside.replace(path)
        sync_folder(path.parent)
    finally:
        beside.unlink(missing_ok=True)


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """A hidden new folder beside ``path`` for the block to fill; then it is named ``path``.

    No other process has one of its name. An error in the block removes what was written.
    """
    beside = hidden_beside(path, f"-{secrets.token_hex(4)}")
    beside.mkdir(parents=True)
    try:
        yield beside
        beside.rename(path)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def write_whole(path: Path, data: bytes) -> None:
    """Write bytes as a whole file."""
    with whole(path) as place:
        place.write_bytes(data)


def write_array(path: Path, array: "np.ndarray") -> None:
    """Write an array as a whole .npy file."""
    import numpy as np  # as torch below

    with whole(path) as place, place.open("wb") as file:
        np.save(file, array)


def share_file(source: Path, target: Path) -> None:
    """Make ``target`` the same file, or a copy where the disk has no links."""
    try:
        os.link(source, target)
    except FileNotFoundError:
        raise
    except OSError:
        shutil.copyfile(source, target)


def existing(path: Path) -> Path:
    """The path, or the nearest folder above it that is there."""
    path = path.absolute()
    return next(place for place in (path, *path.parents) if place.exists())


def free_bytes(path: Path) -> int:
    """Bytes that are free where a file is, or is to be."""
    return shutil.disk_usage(existing(path)).free


def is_full(error: BaseException | None) -> bool:
    """True for an error that a full disk has caused."""
    while error is not None:
        if getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT):  # also FFmpeg's
            return True
        error = error.__cause__
    return False


def sync(files: Iterable[Path]) -> None:
    """Wait until files are on the disk."""
    for file in files:
        with file.open("r+b") as opened:  # Windows waits for what may be written alone
            os.fsync(opened.fileno())


def sync_folder(folder: Path) -> None:
    """Wait until the names of a folder's files are on the disk, where the system can say so."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def output_place(target: Path) -> Path:
    """The file or folder that appears: a folder of images is asked for as ``folder/*.png``."""
    return target.parent if target.stem == "*" else target


def lasting_folder(path: Path) -> Path:
    """The work folder beside an output, which has the same name every time."""
    return hidden_beside(path, "-s2svr")


def files_of(path: Path) -> list[Path]:
    """The files of a folder in order, without those of folders within it; or the file alone."""
    return sorted(file for file in path.iterdir() if file.is_file()) if path.is_dir() else [path]


def file_fingerprint(path: Path) -> str:
    """Name, size and time of change of a file, or of all files of a folder, as a short digest.

    Folders within it do not count.
    """
    stats = [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files_of(path)]
    return f"{path.name} ({hashlib.sha256(repr(stats).encode()).hexdigest()[:12]})"


def content_fingerprint(path: Path) -> str:
    """Digest of what a file holds, whatever its name; of a folder, of all its files in order.

    Of a large file, its size and SAMPLES parts of it. Folders within a folder do not count.
    """
    total = hashlib.sha256()
    for file in files_of(path):
        size = file.stat().st_size
        total.update(f"{size} ".encode())
        with file.open("rb") as opened:
            for sample in range(SAMPLES):
                opened.seek(max(0, size - SAMPLE) * sample // (SAMPLES - 1))
                total.update(opened.read(SAMPLE))
    return total.hexdigest()[:12]


def network_fingerprint(model: "nn.Module") -> str:
    """Digest of a network's kind, configuration, weights and experts, wherever they are."""
    import torch  # what only writes files need not wait for it

    total = hashlib.sha256(f"{type(model).__name__} {getattr(model, 'config', '')}".encode())
    for weights in (model.state_dict(), *getattr(model, "experts", {}).values()):
        for name, tensor in weights.items():
            total.update(name.encode())
            total.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().data)
    return total.hexdigest()[:12]
