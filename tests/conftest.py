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
    """Imports a script of benchmarks/ by its name, with its folder on the path, as Python does."""

    def imported(name: str) -> ModuleType:
        (place,) = (Path(__file__).parent.parent / "benchmarks").glob(f"*/{name}.py")
        monkeypatch.syspath_prepend(place.parent)
        return import_module(name)

    return imported
