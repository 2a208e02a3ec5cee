"""Jobs on the disk: a folder each, whose ``job.json`` is whole at any time."""

import json
import logging
import re
import shutil
import time
from pathlib import Path

from filelock import FileLock, Timeout
from pydantic import ValidationError

from ..files import lasting_folder, write_whole
from .order import Entry

RECORD = "job.json"
OFTEN = 5.0  # seconds between two records of a job that only got further


def remove_work(target: Path) -> None:
    """Remove the work folder of an output, unless another process is at work in it."""
    folder = lasting_folder(target)
    try:
        if folder.is_dir():
            with FileLock(folder / "lock", timeout=0):
                shutil.rmtree(folder, ignore_errors=True)
    except OSError as error:  # Timeout is one
        logging.getLogger(__name__).warning("%s is left as it is: %s", folder, error)


class Store:
    """The folder of a queue. It is for one process at a time; ValueError where another has it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.jobs = folder / "jobs"
        self.jobs.mkdir(parents=True, exist_ok=True)
        self.saved: dict[str, float] = {}  # when, or tried, by a clock that only grows
        self.lock = FileLock(folder / "lock")
        try:
            self.lock.acquire(timeout=0)
        except Timeout:
            raise ValueError(
                f"another process works on the jobs in {folder}: wait until it has ended, or name "
                "another folder"
            ) from None

    def close(self) -> None:
        """Let another process have the folder."""
        self.lock.release()

    def place(self, entry: Entry) -> Path:
        """The folder of a job."""
        return self.jobs / entry.id

    def load(self) -> list[Entry]:
        """All jobs, in the queue's order; what cannot be read is left where it is, and logged.

        Folders of jobs that were never taken, since the process ended before, are removed.
        """
        found = []
        for folder in self.jobs.iterdir():
            if not re.fullmatch(r"[0-9a-f]{16}", folder.name):
                continue
            if not (folder / RECORD).is_file():
                shutil.rmtree(folder, ignore_errors=True)
                continue
            try:
                found.append(Entry.model_validate_json((folder / RECORD).read_bytes()))
            except (OSError, ValidationError, ValueError) as error:
                logging.getLogger(__name__).warning("%s cannot be read: %s", folder, error)
        return sorted(found, key=lambda entry: (entry.rank, entry.created))

    def save(self, entry: Entry) -> None:
        """Make a job durable."""
        folder = self.place(entry)
        self.saved[entry.id] = time.monotonic()
        folder.mkdir(exist_ok=True)
        data = json.dumps(entry.model_dump(mode="json"), indent=1)
        write_whole(folder / RECORD, data.encode())

    def save_progress(self, entry: Entry) -> None:
        """The same, at most every OFTEN seconds: of what is lost, the journal knows."""
        if time.monotonic() - self.saved.get(entry.id, 0.0) >= OFTEN:
            self.save(entry)

    def remove(self, entry: Entry) -> None:
        """Remove a job's folder with all that is in it."""
        self.saved.pop(entry.id, None)
        shutil.rmtree(self.place(entry), ignore_errors=True)
