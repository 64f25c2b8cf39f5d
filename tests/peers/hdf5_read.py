"""HDF5 reading, side by side in one run: mmpipe and h5py.

    pip install h5py numpy
    cargo build --release -p mmpipe-trees --example hdf5_read
    python tests/peers/hdf5_read.py [target/release/examples/hdf5_read]

A data set of 32 channels x 200,000 samples of 64-bit floats, once deflated and shuffled in
chunks of 4 x 8,192 and once contiguous, is read 4 channels and 512 samples at a time, as an
ingest reads it. Each turn opens the file anew (warm page cache); best of five. Both sum what
they read, and the sums must agree.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import h5py
import numpy as np

PROGRAM = sys.argv[1] if len(sys.argv) > 1 else "target/release/examples/hdf5_read"
CHANNELS, SAMPLES, TURNS = 32, 200_000, 5


def peer(path):
    start, total = time.perf_counter(), 0.0
    with h5py.File(path) as f:
        x = f["x"]
        for c in range(0, CHANNELS, 4):
            for t in range(0, SAMPLES, 512):
                total += x[c : c + 4, t : t + 512].sum()
    return time.perf_counter() - start, total


def ours(path):
    seconds, total = subprocess.check_output([PROGRAM, path], text=True).split()
    return float(seconds), float(total)


x = (np.random.default_rng(0).normal(size=(CHANNELS, SAMPLES)) * 1000).astype("i2").astype("f8")
layouts = {"deflate+shuffle": {"chunks": (4, 8192), "compression": "gzip", "shuffle": True}}
layouts["contiguous"] = {}
with tempfile.TemporaryDirectory() as folder:
    for name, how in layouts.items():
        path = str(Path(folder) / "x.h5")
        with h5py.File(path, "w") as f:
            f.create_dataset("x", data=x, **how)
        a, b = [ours(path) for _ in range(TURNS)], [peer(path) for _ in range(TURNS)]
        assert np.isclose(a[0][1], b[0][1]), (a[0], b[0])
        a, b = min(a)[0], min(b)[0]
        print(f"{name}: mmpipe {a:.3f} s, h5py {b:.3f} s, ratio {b / a:.2f}")
