"""One thread a process, since pytest-xdist starts several; set before torch is imported."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
