"""Writing beside the target: the final name appears only when everything is written."""

import errno
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av

from .frame import MediaError


class Beside:
    """A hidden work folder beside ``path``, in which the product is made and then renamed."""

    def __init__(self, path: Path, *, overwrite: bool, images: bool = False) -> None:
        self.path, self.overwrite, self.images = path, overwrite, images
        self.check()
        self.folder = path.with_name(f".{path.name}-{secrets.token_hex(4)}")
        self.product = self.folder / path.name
        with self.errors():
            path.parent.mkdir(parents=True, exist_ok=True)
            self.folder.mkdir()
            if images:
                self.product.mkdir()

    def check(self) -> None:
        """Refuse a target that is there already, unless it may be overwritten."""
        path = self.path
        if not path.exists():
            return
        if not self.overwrite:
            raise MediaError(f"{path} exists already; name another output or allow to overwrite it")
        if path.is_dir() != self.images:
            kind = "file" if self.images else "folder"
            raise MediaError(f"{path} is a {kind} and is left as it is; name another output")
        if self.images and any(f.suffix != ".png" or f.is_dir() for f in path.iterdir()):
            raise MediaError(f"the folder {path} holds more than PNG images and is left as it is")

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Turn what the system or FFmpeg says about writing into one sentence."""
        try:
            yield
        except (OSError, av.error.FFmpegError) as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                reason = "the disk is full"
            elif error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
                reason = "permission denied"
            else:
                reason = error.strerror or str(error)
            raise MediaError(f"{self.path} cannot be written: {reason}") from error

    def keep(self) -> None:
        """Wait until the product is on the disk, and give it its name."""
        with self.errors():
            for file in self.product.iterdir() if self.images else [self.product]:
                with file.open("rb") as opened:
                    os.fsync(opened.fileno())
            self.check()
            if self.images and self.path.exists():
                self.path.replace(self.folder / "replaced")
            self.product.replace(self.path)

    def discard(self) -> None:
        """Remove the work folder."""
        shutil.rmtree(self.folder, ignore_errors=True)
