"""A folder beside the target to work in: the final name appears when all is written."""

import errno
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import av
from filelock import FileLock, Timeout

from ..files import hidden_beside, is_full, lasting_folder, sync, sync_folder
from ..media import SUFFIXES, MediaError


@dataclass(frozen=True)
class WorkPolicy:
    """Rules for what is found at the target and in its work folder."""

    overwrite: bool = False  # replace the target if it exists
    lasting: bool = False  # the work folder can outlive the writer, for a later try to go on
    restart: bool = False  # remove what an earlier try has left in the work folder


FRESH = WorkPolicy()
LOCK = "lock"  # file in a lasting folder


class WorkFolder:
    """A hidden work folder beside ``path``, in which the product is made and then renamed.

    A lasting folder has the same name every time and is for one process at a time; it stays where
    ``keep_work`` is set, as it is at first where an earlier try has left something to go on from:
    a try that is refused before it begins takes nothing of it away. Raises MediaError.
    """

    def __init__(self, path: Path, policy: WorkPolicy, *, images: bool = False) -> None:
        self.path, self.overwrite, self.images = path, policy.overwrite, images
        lasting = policy.lasting
        self.folder = lasting_folder(path)
        if not lasting:
            self.folder = hidden_beside(path, f"-{secrets.token_hex(4)}")
        self.product = self.folder / path.name
        self.keep_work = False
        self.lock = FileLock(self.folder / LOCK) if lasting else None
        with self.errors():
            self.check()
            self.made = [folder for folder in path.parents if not folder.exists()]
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                self.folder.mkdir(exist_ok=lasting)
                self.acquire()
                if policy.restart:
                    self.clear()
                    return
                self.keep_work = any(item.name != LOCK for item in self.folder.iterdir())
                if images:
                    self.product.mkdir(exist_ok=lasting)
            except BaseException:
                self.remove_made()
                raise

    @property
    def lasting(self) -> bool:
        """True if a later try may go on from what is in it."""
        return self.lock is not None

    def acquire(self) -> None:
        """Lock a lasting folder against other processes; the lock ends with this process."""
        try:
            if self.lock:
                self.lock.acquire(timeout=0)
        except Timeout:
            raise MediaError(f"{self.path} is being written by another process") from None

    def clear(self) -> None:
        """Remove what an earlier try has left."""
        for item in self.folder.iterdir():
            if item.is_dir():
                shutil.rmtree(item)
            elif item.name != LOCK:
                item.unlink()
        if self.images:
            self.product.mkdir()

    def check(self) -> None:
        """Raise MediaError where the target exists and may not be overwritten."""
        path = self.path
        if not path.exists():
            return
        if not self.overwrite:
            raise MediaError(f"{path} exists already; name another output or add --overwrite")
        if path.is_dir() != self.images:
            kind = "file" if self.images else "folder"
            raise MediaError(f"{path} is a {kind} and is left as it is; name another output")
        if self.images and any(not is_image(file) for file in path.iterdir()):
            raise MediaError(f"the folder {path} holds more than images and is left as it is")

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Turn errors of the system and of FFmpeg within the block into MediaError."""
        try:
            yield
        except (OSError, av.error.FFmpegError) as error:
            if is_full(error):
                reason = "the disk is full"
            elif error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
                reason = "permission denied"
            else:
                reason = error.strerror or str(error)
            raise MediaError(f"{self.path} cannot be written: {reason}") from error

    def publish(self) -> None:
        """Wait until the product is on the disk, then move it to the target."""
        with self.errors():
            sync(self.product.iterdir() if self.images else [self.product])
            self.check()
            if self.images and self.path.exists():
                self.path.replace(self.folder / "replaced")
            self.product.replace(self.path)
            sync_folder(self.path.parent)
        self.keep_work = False

    def discard(self) -> None:
        """Unlock the work folder, and remove it unless ``keep_work`` is set."""
        if self.lock:
            self.lock.release()
        if not self.keep_work:
            shutil.rmtree(self.folder, ignore_errors=True)
            self.remove_made()

    def remove_made(self) -> None:
        """Remove the folders that were made for the target, unless something is in them."""
        for folder in self.made:
            with suppress(OSError):
                folder.rmdir()


def is_image(file: Path) -> bool:
    """True for a file with the name of an image."""
    return file.suffix.lower() in SUFFIXES and not file.is_dir()
