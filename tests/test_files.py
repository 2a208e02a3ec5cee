"""Files that are whole or not there, whatever ends the writer; fingerprints."""

import fcntl
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from s2svr.files import (
    file_fingerprint,
    network_fingerprint,
    sync,
    whole,
    whole_folder,
    write_array,
    write_whole,
)


def test_files_are_synced_through_handles_that_may_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Windows refuses to wait for others."""
    modes: list[int] = []
    monkeypatch.setattr(
        os, "fsync", lambda handle: modes.append(fcntl.fcntl(handle, fcntl.F_GETFL))
    )
    (tmp_path / "a").write_bytes(b"kept")
    sync([tmp_path / "a"])
    assert [mode & os.O_ACCMODE for mode in modes] == [os.O_RDWR]
    assert (tmp_path / "a").read_bytes() == b"kept"


def test_a_file_takes_its_name_when_it_is_whole(tmp_path: Path):
    path = tmp_path / "file.npy"
    with whole(path) as place:
        assert place.parent == tmp_path
        assert place.suffix == ".npy"
        place.write_bytes(b"new")
        assert not path.exists()
    assert path.read_bytes() == b"new"
    write_array(path, np.arange(3))
    assert np.load(path).tolist() == [0, 1, 2]
    assert os.listdir(tmp_path) == ["file.npy"]


def test_an_error_leaves_what_was_there_and_nothing_else(tmp_path: Path):
    path = tmp_path / "file"
    write_whole(path, b"old")

    def fail() -> None:
        with whole(path) as place:
            place.write_bytes(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]


def test_folders_of_one_name_are_written_side_by_side(tmp_path: Path):
    with whole_folder(tmp_path / "out") as one, whole_folder(tmp_path / "deep" / "out") as other:
        assert {place.name for place in (one, other)} & {"out", "out.part"} == set()
        (one / "a").write_bytes(b"1")
        (other / "a").write_bytes(b"2")

    def fail() -> None:
        with whole_folder(tmp_path / "new") as one, whole_folder(tmp_path / "new") as other:
            assert one != other
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert (tmp_path / "out" / "a").read_bytes() == b"1"
    assert (tmp_path / "deep" / "out" / "a").read_bytes() == b"2"
    assert sorted(os.listdir(tmp_path)) == ["deep", "out"]


def test_a_killed_writer_leaves_what_was_there(tmp_path: Path):
    path = tmp_path / "file"
    write_whole(path, b"old")
    script = (
        "import sys, time; from pathlib import Path; from s2svr.files import whole\n"
        "with whole(Path(sys.argv[1])) as place:\n"
        "    place.write_bytes(b'half'); print('ready', flush=True); time.sleep(60)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(path)], stdout=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
        writer.send_signal(signal.SIGKILL)
    assert path.read_bytes() == b"old"


def test_a_file_is_known_by_its_name_size_and_time(tmp_path: Path):
    folder, path = tmp_path / "images", tmp_path / "images" / "0.png"
    folder.mkdir()
    path.write_bytes(b"12")
    before = file_fingerprint(path), file_fingerprint(folder)
    assert before == (file_fingerprint(path), file_fingerprint(folder))
    path.write_bytes(b"123")
    assert file_fingerprint(path) != before[0]
    os.utime(path, ns=(time.time_ns(), 0))
    assert file_fingerprint(folder) != before[1]
    assert file_fingerprint(folder).startswith("images (")


def test_networks_are_known_by_their_kind_and_weights():
    torch.manual_seed(0)
    first, second = nn.Linear(2, 2), nn.Linear(2, 2)
    assert network_fingerprint(first) != network_fingerprint(second)
    second.load_state_dict(first.state_dict())
    assert network_fingerprint(first) == network_fingerprint(second)
    bilinear = nn.Identity()
    assert network_fingerprint(bilinear) != network_fingerprint(nn.Flatten())
