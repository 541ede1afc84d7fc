"""Before torch is loaded: one thread for each of pytest's processes, and none that spins while it waits."""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("OMP_NUM_THREADS", "1")
