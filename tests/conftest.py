"""Before anything imports a library that starts threads: one thread, as in every stage."""

import os

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")
# Plots without a screen.
os.environ.setdefault("MPLBACKEND", "Agg")
