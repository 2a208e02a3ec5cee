"""Uploads: in chunks to the disk, within the limits, and gone on with after a break."""

import asyncio
import os
import re
import secrets
import shutil
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from fastapi import HTTPException
from pydantic import BaseModel, Field
from python_multipart.multipart import MultipartParser, parse_options_header

from ..files import free_bytes, share_file, write_whole
from ..jobs import DAY
from ..text import amount
from .places import shown_name, stored_names

RESERVE = 256 << 20  # bytes of the disk that uploads leave free
BUFFER = 1 << 20  # bytes that are written at once
CHECK_EVERY = 64 << 20  # bytes after which the disk is looked at
FIELD = 1 << 16  # bytes of a form's field that is no file
FIELDS = 1 << 20  # bytes of all of them, with the headers of each
MOST_FILES = 100_000


class UploadPart(BaseModel):
    """One file of a folder that is uploaded."""

    name: str
    bytes: int = Field(ge=0)


class UploadRequest(BaseModel):
    """What will come: a file, or the images of a folder, one after the other."""

    name: str = Field(description="of the file or folder, as people know it")
    bytes: int = Field(ge=1, description="all that will be sent")
    files: list[UploadPart] = Field([], max_length=MOST_FILES, description="of a folder of images")


class UploadState(BaseModel):
    """How much of an upload is there; ``job`` is made when all of it is."""

    id: str
    name: str
    bytes: int
    received: int
    job: dict[str, Any] | None = None


class Sink:
    """A file that takes an upload: ValueError is never raised, an HTTPException says what is wrong.

    ``most`` bytes are taken. Writing happens in threads, so that others are answered meanwhile.
    """

    def __init__(self, path: Path, most: int) -> None:
        self.path, self.most = path, most
        self.file = path.open("ab")
        self.size = self.file.tell()
        self.checked = self.size
        self.waiting = bytearray()

    async def take(self, data: bytes) -> None:
        """Take some bytes."""
        if self.size + len(self.waiting) + len(data) > self.most:
            raise too_large(self.most)
        self.waiting += data
        if len(self.waiting) >= BUFFER:
            await self.flush()

    async def flush(self) -> None:
        """Write what was taken."""
        data, self.waiting = self.waiting, bytearray()
        if self.size + len(data) - self.checked >= CHECK_EVERY:
            check_disk(self.path, 0)
            self.checked = self.size + len(data)
        try:
            await asyncio.to_thread(self.write, data)
        except OSError as error:
            raise HTTPException(507, f"the upload cannot be written: {error.strerror}") from error
        self.size += len(data)

    def write(self, data: bytearray) -> None:
        self.file.write(data)
        self.file.flush()

    async def finish(self) -> None:
        """Wait until all of it is on the disk."""
        await self.flush()
        await asyncio.to_thread(os.fsync, self.file.fileno())

    def close(self) -> None:
        self.file.close()


def too_large(most: int) -> HTTPException:
    """The error of an upload that is larger than is allowed."""
    return HTTPException(
        413, f"expected at most {amount(most)} (--max-upload), got more; cut the video, or put it "
        "into the server's own folder (--root)"
    )  # fmt: skip


def check_disk(path: Path, size: int) -> None:
    """HTTPException where the disk has no room for so many bytes more."""
    free = free_bytes(path)
    if size + RESERVE > free:
        raise HTTPException(
            507, f"the upload needs {amount(size + RESERVE)} on the server's disk and "
            f"{amount(free)} are free: free some, or start the server with another --folder"
        )  # fmt: skip


class Form:
    """A form that comes in pieces: its one file goes to a sink, its fields are kept."""

    def __init__(self, kind: str, folder: Path, most: int) -> None:
        found, options = parse_options_header(kind)
        if found != b"multipart/form-data" or b"boundary" not in options:
            raise HTTPException(
                415, f"expected a form (multipart/form-data) with the field file, got {kind!r}"
            )
        self.folder, self.most = folder, most
        self.fields: dict[str, str] = {}
        self.name, self.kept = "", 0  # bytes of fields and headers
        self.sink: Sink | None = None
        self.coming: list[bytes] = []  # of the file, not yet written
        self.header = self.value = b""
        self.headers: dict[str, bytes] = {}
        self.field: str | None = None  # that is being read; None: the file
        self.whole = False
        self.parser = MultipartParser(options[b"boundary"], {
            "on_part_begin": self.begin, "on_part_data": self.data,
            "on_header_field": self.header_field, "on_header_value": self.header_value,
            "on_header_end": self.header_end, "on_headers_finished": self.begin_data,
            "on_end": self.end,
        })  # fmt: skip

    def begin(self) -> None:
        self.headers, self.header, self.value = {}, b"", b""

    def header_field(self, data: bytes, start: int, end: int) -> None:
        self.keep(end - start)
        self.header += data[start:end]

    def header_value(self, data: bytes, start: int, end: int) -> None:
        self.keep(end - start)
        self.value += data[start:end]

    def header_end(self) -> None:
        self.headers[self.header.decode("latin-1").lower()] = self.value
        self.header = self.value = b""

    def begin_data(self) -> None:
        """A field's headers are there: it is the file, or kept as a text."""
        _, options = parse_options_header(self.headers.get("content-disposition", b""))
        if b"filename" not in options:
            self.field = options.get(b"name", b"").decode("utf-8", "replace")
            self.fields[self.field] = ""
            return
        if self.sink is not None:
            raise HTTPException(400, "expected one file a call, got two")
        self.field, self.name = None, options[b"filename"].decode("utf-8", "replace")
        self.sink = Sink(self.folder / "data", self.most)

    def data(self, data: bytes, start: int, end: int) -> None:
        if self.field is None:
            self.coming.append(data[start:end])
        else:
            text = self.fields[self.field] + data[start:end].decode("utf-8", "replace")
            if len(text) > FIELD:
                raise HTTPException(413, f"the field {self.field!r} is too long")
            self.keep(end - start)
            self.fields[self.field] = text

    def keep(self, count: int) -> None:
        """Note that so many bytes more are kept in memory. HTTPException for too many."""
        self.kept += count
        if self.kept > FIELDS:
            raise HTTPException(413, f"the form's fields are more than {amount(FIELDS)} together")

    def end(self) -> None:
        self.whole = True

    async def read(self, stream: AsyncIterator[bytes]) -> None:
        """Read the whole form. HTTPException for one that is none, or ends early."""
        try:
            async for piece in stream:
                self.parser.write(piece)
                for data in self.coming:
                    assert self.sink is not None
                    await self.sink.take(data)
                self.coming = []
            if self.sink is not None:
                await self.sink.finish()
        except ValueError as error:  # of the parser
            raise HTTPException(400, f"expected a form, got what is none: {error}") from error
        finally:
            if self.sink is not None:
                self.sink.close()
        if not self.whole:
            raise HTTPException(400, "the upload was cut off: send it again")
        if self.sink is None:
            raise HTTPException(422, "expected the field file with a video, got none")


class Uploads:
    """The folder of uploads that may be gone on with."""

    def __init__(self, folder: Path, most: int) -> None:
        self.folder, self.most = folder, most
        folder.mkdir(parents=True, exist_ok=True)
        self.busy: set[str] = set()

    def fresh(self) -> Path:
        """A new folder for an upload."""
        place = self.folder / secrets.token_hex(8)
        place.mkdir()
        return place

    def begin(self, request: UploadRequest) -> UploadState:
        """Make room for an upload. HTTPException where it is too large."""
        if request.bytes > self.most:
            raise too_large(self.most)
        if request.files and sum(file.bytes for file in request.files) != request.bytes:
            raise HTTPException(422, "expected files that are as large together as is said")
        names = [shown_name(file.name) for file in request.files]
        if len(set(names)) != len(names):
            raise HTTPException(422, "expected files of different names")
        check_disk(self.folder, request.bytes)
        place = self.fresh()
        write_whole(place / "upload.json", request.model_dump_json().encode())
        return self.state(place.name)

    def find(self, name: str) -> Path:
        """The folder of an upload. HTTPException where there is none."""
        place = self.folder / name
        if not re.fullmatch(r"[0-9a-f]{16}", name) or not (place / "upload.json").is_file():
            raise HTTPException(404, f"there is no upload {name}: it is finished, or too old")
        return place

    def request(self, name: str) -> UploadRequest:
        """What was said of an upload."""
        return UploadRequest.model_validate_json((self.find(name) / "upload.json").read_bytes())

    def state(self, name: str) -> UploadState:
        """How much of an upload is there."""
        request, data = self.request(name), self.find(name) / "data"
        received = data.stat().st_size if data.is_file() else 0
        return UploadState(
            id=name, name=shown_name(request.name), bytes=request.bytes, received=received
        )

    async def append(self, name: str, offset: int, stream: AsyncIterator[bytes]) -> UploadState:
        """Take more of an upload, from where it is. HTTPException for another place."""
        state = self.state(name)
        if offset != state.received or name in self.busy:
            raise HTTPException(409, f"expected the bytes from {state.received} on, got those from "
                                     f"{offset} on, or another sends them")  # fmt: skip
        self.busy.add(name)
        sink = Sink(self.find(name) / "data", state.bytes)
        try:
            async for piece in stream:
                await sink.take(piece)
            await sink.finish()
        finally:
            sink.close()
            self.busy.discard(name)
        return self.state(name)

    def hand_over(self, place: Path, request: UploadRequest, source: Path) -> None:
        """Bring what was uploaded to its place: a file, or a folder of images."""
        data = place / "data"
        source.parent.mkdir(parents=True, exist_ok=True)
        if not request.files:
            share_file(data, source)
            return
        source.mkdir()
        names = stored_names([part.name for part in request.files])
        with data.open("rb") as file:
            for name, part in zip(names, request.files, strict=True):
                with (source / name).open("wb") as image:
                    copy_bytes(file, image, part.bytes)

    def discard(self, place: Path) -> None:
        """Remove an upload."""
        shutil.rmtree(place, ignore_errors=True)

    def sweep(self) -> None:
        """Remove uploads that nobody went on with for a day."""
        for place in self.folder.iterdir():
            try:
                newest = max(item.stat().st_mtime for item in (place, *place.iterdir()))
            except (FileNotFoundError, NotADirectoryError):  # finished meanwhile, or none of ours
                continue
            if newest < time.time() - DAY and place.name not in self.busy:
                self.discard(place)


def copy_bytes(source: Any, target: Any, count: int) -> None:
    """Copy so many bytes from one open file to another."""
    while count > 0:
        data = source.read(min(count, BUFFER))
        target.write(data)
        count -= len(data) or count
