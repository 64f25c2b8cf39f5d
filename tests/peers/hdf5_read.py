#!/usr/bin/env python3
"""Reading HDF5, side by side in one run on one core: mmpipe and h5py.

    pip install h5py numpy
    cargo build --release -p mmpipe-trees --example tree_read
    python tests/peers/hdf5_read.py [target/release/examples/tree_read]

32 channels x 200,000 samples of 64-bit floats: contiguous; deflated and shuffled in chunks of
4 x 8,192, as h5py writes for most; and as MATLAB writes a v7.3 file, deflated at level 3 without
shuffle, dimensions reversed. Both sides open the file anew and read 4 channels and 512 samples at
a time, as an ingest reads it; what they add up, which is not counted, must agree. mmpipe reads
twice in a process and the second counts, as h5py has read the file before too. Rounds alternate,
the files are in the page cache, the best counts. CPU seconds say what a core does on a machine
that is busy with other things as well; on an idle one both ratios should agree.
"""

import json
import os
import subprocess
import sys
import tempfile
import time

import h5py
import numpy as np

CHANNELS, SAMPLES, LANES, BLOCK, ROUNDS = 32, 200_000, 4, 512, 7


def peer(path, reversed_):
    """Wall and CPU seconds, and the blocks."""
    blocks = []
    start, busy = time.perf_counter(), time.process_time()
    with h5py.File(path) as f:
        x = f["x"]
        for c in range(0, CHANNELS, LANES):
            for t in range(0, SAMPLES, BLOCK):
                if reversed_:
                    blocks.append(x[t : t + BLOCK, c : c + LANES])
                else:
                    blocks.append(x[c : c + LANES, t : t + BLOCK])
    return time.perf_counter() - start, time.process_time() - busy, blocks


def write(path, x, reversed_, how):
    with h5py.File(path, "w", userblock_size=512 if reversed_ else 0) as f:
        made = f.create_dataset("x", data=x.T if reversed_ else x, **how)
        if reversed_:
            made.attrs["MATLAB_class"] = np.bytes_("double")
    if reversed_:
        with open(path, "r+b") as f:
            f.write(b"MATLAB 7.3 MAT-file".ljust(116) + bytes(8) + b"\0\2IM")


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    default = os.path.join(here, "../../target/release/examples/tree_read")
    binary = sys.argv[1] if len(sys.argv) > 1 else default
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    x = (np.random.default_rng(0).normal(size=(CHANNELS, SAMPLES)) * 1000).astype("i2").astype("f8")
    layouts = {
        "HDF5, contiguous": (False, {}),
        "HDF5, deflate and shuffle": (False, dict(chunks=(4, 8192), compression="gzip", shuffle=True)),
        "MATLAB v7.3, deflate": (True, dict(chunks=(8192, 4), compression="gzip", compression_opts=3)),
    }
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "x.h5")
        for what, (reversed_, how) in layouts.items():
            write(path, x, reversed_, how)
            *_, blocks = peer(path, reversed_)
            want = sum(float(b.sum()) for b in blocks)
            ours, theirs, cpu, their_cpu = [], [], [], []
            for _ in range(ROUNDS):
                command = [binary, path, "2", str(LANES), str(BLOCK)]
                found = json.loads(subprocess.check_output(command))
                assert abs(found["sum"] - want) < 1e-6 * abs(want), (what, found, want)
                ours.append(found["seconds"][-1])
                cpu.append(found["cpu"][-1])
                wall, busy, blocks = peer(path, reversed_)
                del blocks
                theirs.append(wall)
                their_cpu.append(busy)
            a, b, c, d = (min(v) for v in (ours, theirs, cpu, their_cpu))
            print(
                f"{what}: {os.path.getsize(path) / 2**20:.0f} MiB, mmpipe {a:.4f} s, h5py "
                f"{h5py.__version__} {b:.4f} s, ratio {b / a:.1f}; CPU {c:.4f} s, {d:.4f} s, ratio {d / c:.1f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
