"""Devices and precisions that networks run on."""

import os
import platform
from importlib.metadata import version
from pathlib import Path

import torch

PRECISIONS = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
CPU_FACTS = Path("/proc/cpuinfo")
# What a container may use, in the two versions of Linux's control groups.
LIMITS = [
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
]


def choose_device(name: str) -> torch.device:
    """``auto`` (a GPU where there is one), ``cpu``, ``cuda`` or ``cuda:1``."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    kind, _, index = name.partition(":")
    if kind not in ("cpu", "cuda") or (index and not index.isdecimal()):
        raise ValueError(f"expected the device auto, cpu, cuda or cuda:N, got {name!r}")
    if kind == "cuda" and int(index or 0) >= torch.cuda.device_count():
        raise ValueError(f"the device {name} is not there: {torch.cuda.device_count()} GPUs found")
    return torch.device(name)


def choose_precision(name: str, device: torch.device) -> torch.dtype:
    """``auto`` (float32), ``fp32``, ``fp16`` or ``bf16``.

    fp16 is for GPUs alone; bf16 also for CPUs that have instructions for it.
    """
    if name == "auto":
        return torch.float32
    if name not in PRECISIONS:
        raise ValueError(f"expected the precision auto, {', '.join(PRECISIONS)}, got {name!r}")
    if device.type == "cpu" and (name == "fp16" or name == "bf16" and not cpu_has_bf16()):
        raise ValueError(f"the precision {name} is slower than fp32 on this CPU; use fp32 or a GPU")
    if device.type == "cuda" and name == "bf16":
        with torch.cuda.device(device):
            if not torch.cuda.is_bf16_supported(including_emulation=False):
                raise ValueError(f"{machine_name(device)} has no bf16; use fp16 or fp32")
    return PRECISIONS[name]


def wanted_precision(name: str, device: torch.device) -> torch.dtype | None:
    """As ``choose_precision``; None where ``auto`` has a choice, which a frame has to be timed for.

    That is on CPUs with instructions for bfloat16.
    """
    if name == "auto" and device.type == "cpu" and cpu_has_bf16():
        return None
    return choose_precision(name, device)


def precision_text(precision: torch.dtype | None) -> str:
    """What ``wanted_precision`` says, in words."""
    if precision is None:
        return "float32 or bfloat16, the faster one"
    return str(precision).removeprefix("torch.")


def precision_named(text: str) -> torch.dtype | None:
    """The precision that ``precision_text`` calls so, or None."""
    return next((dtype for dtype in PRECISIONS.values() if precision_text(dtype) == text), None)


def cpu_has_bf16() -> bool:
    """True where the processor multiplies numbers in bfloat16 (Linux on x86)."""
    if not CPU_FACTS.is_file():
        return False
    lines = CPU_FACTS.read_text(encoding="utf-8").splitlines()
    flags = next((line.split() for line in lines if line.startswith("flags")), [])
    return not {"avx512_bf16", "amx_bf16"}.isdisjoint(flags)


def total_memory(device: torch.device) -> int | None:
    """Bytes that a device has, or that this process may use; None if that cannot be known."""
    if device.type == "cuda":
        return torch.cuda.get_device_properties(device).total_memory
    try:
        limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    except (AttributeError, ValueError):  # not a Unix
        return None
    for file in LIMITS:
        if file.is_file() and (text := file.read_text(encoding="ascii").strip()).isdecimal():
            limits.append(int(text))
    return min(limits)


def core_count() -> int:
    """Cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def machine_name(device: torch.device) -> str:
    """The name of a GPU, or of the processor and how many of its threads may be used."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    lines = CPU_FACTS.read_text(encoding="utf-8").splitlines() if CPU_FACTS.is_file() else []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    name = next(names, platform.processor() or platform.machine())
    return f"{name}, {core_count()} threads"


def describe_machine(device: str = "auto", precision: str = "auto") -> dict[str, str]:
    """A table of what a restoration with these settings would run on."""
    place = choose_device(device)
    facts = {
        "s2svr": version("s2svr"),
        "python": platform.python_version(),
        "backend": f"PyTorch {torch.__version__}",
        "video": f"PyAV {version('av')}",
        "device": str(place),
        "precision": precision_text(wanted_precision(precision, place)),
        "threads": str(torch.get_num_threads()),
    }
    for index in range(torch.cuda.device_count()):
        gpu = torch.cuda.get_device_properties(index)
        facts[f"cuda:{index}"] = f"{gpu.name}, {gpu.total_memory / 2**30:.1f} GiB"
    return facts
