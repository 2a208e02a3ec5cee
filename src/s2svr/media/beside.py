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
    """A hidden file or folder beside ``path`` that is renamed to it at the end."""

    def __init__(self, path: Path, *, overwrite: bool, folder: bool) -> None:
        self.path, self.overwrite, self.folder = path, overwrite, folder
        self.check()
        suffix = "" if folder else path.suffix
        self.partial = path.with_name(f".{path.stem}-{secrets.token_hex(4)}{suffix}")
        with self.errors():
            path.parent.mkdir(parents=True, exist_ok=True)
            if folder:
                self.partial.mkdir()
            else:
                self.partial.touch()

    def check(self) -> None:
        """Refuse a target that is there already, unless it may be overwritten."""
        path = self.path
        if not path.exists():
            return
        if not self.overwrite:
            raise MediaError(f"{path} exists already; name another output or allow to overwrite it")
        if path.is_dir() != self.folder:
            raise MediaError(
                f"{path} is a {'file' if self.folder else 'folder'} and is left as it is"
            )
        if self.folder and any(f.suffix != ".png" or f.is_dir() for f in path.iterdir()):
            raise MediaError(f"the folder {path} holds more than PNG images and is left as it is")

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Turn what the system or FFmpeg says about writing into one sentence."""
        try:
            yield
        except (OSError, av.error.FFmpegError, ValueError) as error:
            number = getattr(error, "errno", None)
            if number in (errno.ENOSPC, errno.EDQUOT):
                reason = "the disk is full"
            elif number in (errno.EACCES, errno.EPERM, errno.EROFS):
                reason = "permission denied"
            else:
                reason = getattr(error, "strerror", None) or str(error)
            raise MediaError(f"{self.path} cannot be written: {reason}") from error

    def keep(self) -> None:
        """Give the partial file or folder its final name."""
        try:
            with self.errors():
                files = list(self.partial.iterdir()) if self.folder else [self.partial]
                for file in files:
                    sync(file)
                self.check()
                if self.folder and self.path.exists():
                    shutil.rmtree(self.path)
                os.replace(self.partial, self.path)
        finally:
            self.discard()

    def discard(self) -> None:
        """Remove what is partial."""
        if self.folder:
            shutil.rmtree(self.partial, ignore_errors=True)
        else:
            self.partial.unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Wait until a file is on the disk."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
