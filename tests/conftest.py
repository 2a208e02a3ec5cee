"""One thread a process, since pytest-xdist starts several; set before torch is imported."""

import os
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    """Imports a script of benchmarks/ by its name, and it those beside it."""
    monkeypatch.syspath_prepend(Path(__file__).parent.parent / "benchmarks")
    return import_module
