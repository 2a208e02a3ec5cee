"""An examination of an installation: what is there, what would be used, what is wrong.

Nothing that may be broken is imported before a process of its own has tried it.
"""

import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import NamedTuple

from .files import free_bytes
from .tasks import TASKS
from .text import amount, sentence

ROOM = 2**30  # bytes: less is too little, of disk and of memory
NVIDIA = Path("/proc/driver/nvidia/version")  # there where the driver runs
OTHERS = {"test", "docs"}  # extras that nobody needs who only uses the program
REINSTALL = "pip install --force-reinstall --no-cache-dir"
LIMIT = 60  # seconds that an import may take


class Finding(NamedTuple):
    """One thing that was looked at."""

    part: str  # installed, found or used
    what: str
    value: str
    wrong: str = ""  # a sentence; empty where all is well
    mend: str = ""  # a command, or what else is to be done


def examine() -> list[Finding]:
    """All findings, in the order in which they are shown; no names of files or users are in them.

    A part that cannot be examined since another is broken is left out.
    """
    found = [*programs(), *packages(), *extras()]
    usable = {name: imports_well(name) for name in ("numpy", "torch", "av")}
    found += [
        Finding("installed", f"import {name}", "fails", clean(said), f"{REINSTALL} {name}")
        for name, said in usable.items()
        if said
    ]
    found += [*disk(), *memory(usable)]
    checks: list[tuple[tuple[str, ...], Callable[[], Iterator[Finding]]]] = [
        (("torch",), gpus), (("torch", "av"), encoders), (("torch",), networks),
        (("torch",), choices),
    ]  # fmt: skip
    for needed, check in checks:
        if not any(usable[name] for name in needed):
            found += check()
    return found


def programs() -> Iterator[Finding]:
    """The system, Python and this program."""
    yield Finding("found", "system", platform.platform())
    yield Finding("found", "processor", f"{platform.machine()}, {os.cpu_count()} threads")
    yield Finding("installed", "python", platform.python_version())
    try:
        yield Finding("installed", "s2svr", version("s2svr"))
    except PackageNotFoundError:
        yield Finding(
            "installed", "s2svr", "not installed", "s2svr runs from a folder that is not installed",
            "pip install . in the folder of the project",
        )  # fmt: skip


def packages() -> Iterator[Finding]:
    """What s2svr needs, and whether its version fits."""
    for name, bounds, extra in requirements():
        if extra:
            continue
        there, wanted = installed(name), f"{name}{bounds}"
        wrong = ""
        if there is None:
            wrong = f"{name} is not installed"
        elif not fits(there, bounds):
            wrong = f"{name} {there} is installed, and {bounds} is needed"
        mend = f"pip install {shlex.quote(wanted)}" if wrong else ""
        yield Finding("installed", name, there or "missing", wrong, mend)


def extras() -> Iterator[Finding]:
    """Parts that may be installed, and what is missing of them."""
    wanted: dict[str, list[str]] = {}
    for name, bounds, extra in requirements():
        if extra and extra not in OTHERS and name != "s2svr":
            there = installed(name)
            wanted.setdefault(extra, [])
            if there is None or not fits(there, bounds):
                wanted[extra].append(name)
    for extra, missing in wanted.items():
        brings = f"pip install {shlex.quote(f's2svr[{extra}]')}"
        value = f"no: {', '.join(missing)} missing, {brings} brings it" if missing else "yes"
        yield Finding("installed", f"extra {extra}", value)


def requirements() -> Iterator[tuple[str, str, str]]:
    """Packages that s2svr names: name, bounds of the version as written, extra or nothing."""
    try:
        lines = requires("s2svr") or []
    except PackageNotFoundError:
        return
    for line in lines:
        match = re.match(
            r"([\w.-]+)(?:\[[^]]*\])?\s*\(?([^;)]*)\)?\s*(?:;.*extra == ['\"](.*?)['\"])?", line
        )
        if match:
            yield match[1], match[2].strip(), match[3] or ""


def installed(name: str) -> str | None:
    """The version of a package that is installed; None where it is not."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def fits(there: str, bounds: str) -> bool:
    """True if a version lies within bounds such as ``>=2.6,<2.14``."""
    have = numbers(there)
    for bound in filter(None, bounds.split(",")):
        match = re.match(r"\s*(>=|<=|==|!=|<|>)\s*([\d.]+)", bound)
        if match is None:
            continue
        asked = numbers(match[2])
        longest = max(len(have), len(asked))
        a, b = (v + (0,) * (longest - len(v)) for v in (have, asked))
        if not {">=": a >= b, "<=": a <= b, "==": a == b, "!=": a != b, "<": a < b, ">": a > b}[
            match[1]
        ]:
            return False
    return True


def numbers(text: str) -> tuple[int, ...]:
    """``2.13.0+cpu`` -> (2, 13, 0)."""
    match = re.match(r"\d+(?:\.\d+)*", text)
    return tuple(map(int, match[0].split("."))) if match else ()


def imports_well(name: str) -> str:
    """Nothing, or what is said where a module cannot be imported; tried in another process."""
    try:
        tried = subprocess.run(
            [sys.executable, "-c", f"import {name}"],
            capture_output=True, text=True, errors="replace", timeout=LIMIT, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return f"import {name} takes more than {LIMIT} seconds"
    if tried.returncode == 0:
        return ""
    lines = tried.stderr.strip().splitlines()
    return lines[-1] if lines else f"import {name} ends the process with {tried.returncode}"


def disk() -> Iterator[Finding]:
    """Room in the folder where one is, and for what is made for a while."""
    for what, place, mend in (
        ("disk here", os.getcwd, "df -h . shows the disk: free some, or go to another one"),
        ("disk for temporary files", tempfile.gettempdir, "export TMPDIR=FOLDER, with more room"),
    ):
        try:
            free = free_bytes(Path(place()))
        except OSError as error:
            yield Finding("found", what, "none", clean(sentence(error)), mend)
            continue
        wrong = f"{what}: {amount(free)} are free, which is too little" if free < ROOM else ""
        yield Finding("found", what, f"{amount(free)} free", wrong, mend if wrong else "")


def memory(usable: dict[str, str]) -> Iterator[Finding]:
    """Memory that the process may use."""
    if usable["torch"]:
        return
    import torch

    from .devices import total_memory

    there = total_memory(torch.device("cpu"))
    if there is not None:
        wrong = f"{amount(there)} of memory are too little" if there < ROOM else ""
        mend = "s2svr restore IN OUT --window 1 --tile 192 needs the least" if wrong else ""
        yield Finding("found", "memory", amount(there), wrong, mend)


def gpus() -> Iterator[Finding]:
    """GPUs that PyTorch can use, and one that it cannot."""
    import torch

    built = torch.version.cuda
    yield Finding("installed", "pytorch is built for", f"CUDA {built}" if built else "CPUs alone")
    count = torch.cuda.device_count()
    for index in range(count):
        gpu = torch.cuda.get_device_properties(index)
        value, wrong, mend = f"{gpu.name}, {amount(gpu.total_memory)}", "", ""
        try:
            torch.ones(8, device=f"cuda:{index}").sum().item()
        except RuntimeError as error:
            wrong = f"it does not compute: {clean(str(error).splitlines()[0])}"
            mend = "install a PyTorch that is built for this GPU, as https://pytorch.org describes"
        yield Finding("found", f"cuda:{index}", value, wrong, mend)
    if not count:
        wrong = mend = ""
        if NVIDIA.exists() or shutil.which("nvidia-smi"):
            wrong = "there is an NVIDIA GPU, and this PyTorch does not use it: " + (
                f"its driver is older than CUDA {built}" if built else "it is built for CPUs alone"
            )
            mend = "install PyTorch for your GPU, as https://pytorch.org describes"
            mend = (
                "install a newer NVIDIA driver; nvidia-smi shows which is there" if built else mend
            )
        yield Finding("found", "GPUs", "none that can be used", wrong, mend)


def encoders() -> Iterator[Finding]:
    """Codecs of the output that FFmpeg has here."""
    import av

    from .writing import CODECS

    there = [name for name, kind in CODECS.items() if has_encoder(kind.encoder)]
    libraries = ".".join(map(str, av.library_versions.get("libavcodec", ())))
    yield Finding("installed", "libavcodec", libraries)
    lost = [name for name in CODECS if name not in there and "nvenc" not in name]
    wrong = f"this FFmpeg lacks encoders: {', '.join(lost)}" if lost else ""
    mend = f"{REINSTALL} av" if lost else ""
    yield Finding("found", "encoders", ", ".join(there), wrong, mend)


def has_encoder(encoder: str) -> bool:
    """True if FFmpeg has an encoder of this name."""
    import av

    try:
        av.Codec(encoder, "w")
    except ValueError:
        return False
    return True


def networks() -> Iterator[Finding]:
    """The bundled weights, all of which are read."""
    from .checkpoint import load

    for task in TASKS.values():
        for name in filter(None, (task.weights, task.best)):
            try:
                load(name)
            except (ValueError, OSError) as error:
                mend = "pip install --force-reinstall --no-deps s2svr"
                yield Finding(
                    "installed", f"weights {name}", "damaged", clean(sentence(error)), mend
                )
            else:
                yield Finding("installed", f"weights {name}", "whole")


def choices() -> Iterator[Finding]:
    """What a restoration without options would use."""
    import torch

    from .devices import choose_device, core_count, precision_text, wanted_precision

    place = choose_device("auto")
    yield Finding("used", "device", str(place))
    yield Finding("used", "precision", precision_text(wanted_precision("auto", place)))
    limit = os.environ.get("OMP_NUM_THREADS")
    said = f" (OMP_NUM_THREADS is {limit})" if limit else ""
    yield Finding("used", "threads", f"{torch.get_num_threads()} of {core_count()}{said}")
    quality = "best" if place.type == "cuda" else "best where it ends within 15 minutes, else fast"
    yield Finding("used", "networks", quality)


def clean(text: str) -> str:
    """A text without the folders of the names in it, and without the user's name."""
    text = re.sub(r"(?:[A-Za-z]:)?(?:[\w.~+-]*[/\\])+(?=[\w.+-])", "", text)
    user = Path.home().name
    return re.sub(rf"\b{re.escape(user)}\b", "USER", text) if user else text
