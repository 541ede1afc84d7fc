"""Before torch is loaded: OpenMP threads that spin while they wait make every other process crawl."""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "passive")
