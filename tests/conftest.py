"""Set before torch is imported anywhere: one thread a process, since pytest-xdist starts several."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
