#!/usr/bin/env python3
"""Reading files of named arrays, side by side in one run on one core: mmpipe, and SciPy or NumPy.

    pip install numpy scipy
    cargo build --release -p mmpipe-trees --example tree_read
    python tests/peers/arrays_read.py [target/release/examples/tree_read]

32 channels x 200,000 samples of 64-bit floats, steps of a random walk times 0.03125 as a 16-bit
amplifier gives (the CSV file: an eighth of the samples):

- MATLAB v5 without and with compression, as one matrix; and compressed as KU Leuven's trials are:
  a cell array of 20 structs, each with a matrix of a twentieth of the samples;
- NumPy .npy, in C and in Fortran order; .npz, stored and compressed;
- CSV with a line of names, against numpy.loadtxt.

Both sides open the file and read every number; what they add up, which is not counted, must agree.
mmpipe reads by blocks into one buffer that is used again, the peers into arrays of their own, as
they always do.
Both have read the file once before. Rounds alternate, the files are in the page cache, the best
counts. CPU seconds say what a core does on a machine that is busy with other things as well; on
an idle one both ratios should agree.
"""

import json
import os
import subprocess
import sys
import tempfile
import time

import numpy as np
import scipy.io

CHANNELS, SAMPLES, TRIALS, ROUNDS = 32, 200_000, 20, 7


def total(found):
    """The sum of all numbers of what a peer gives."""
    if isinstance(found, dict):
        return sum(total(v) for k, v in found.items() if not k.startswith("__"))
    if isinstance(found, np.ndarray) and found.dtype == object:
        return sum(total(v) for v in found.flat)
    if isinstance(found, np.ndarray) and found.dtype.names:
        return sum(total(found[name]) for name in found.dtype.names)
    if isinstance(found, np.ndarray) and found.dtype.kind not in "fiub":
        return 0.0
    return float(np.sum(found, dtype=float))


def npz(path):
    with np.load(path) as found:
        return {name: found[name] for name in found.files}


def files(folder):
    rng = np.random.default_rng(3)
    x = np.cumsum(np.round(rng.normal(size=(CHANNELS, SAMPLES)) * 20), axis=1) * 0.03125
    made = []

    def add(name, what, peer, read, write):
        path = os.path.join(folder, name)
        write(path)
        made.append((what, path, peer, read))

    trials = np.empty((1, TRIALS), object)
    for k, part in enumerate(np.split(x, TRIALS, axis=1)):
        trials[0, k] = {"RawData": {"EegData": part.T}, "FileHeader": {"SampleRate": 128.0}}
    loadmat = f"scipy.io.loadmat {scipy.__version__}"
    for name, what, tree, packed in (
        ("plain.mat", "MATLAB v5", {"x": x}, False),
        ("packed.mat", "MATLAB v5, compressed", {"x": x}, True),
        ("trials.mat", "MATLAB v5, compressed, 20 trials in a cell", {"trials": trials}, True),
    ):
        write = lambda p, tree=tree, packed=packed: scipy.io.savemat(p, tree, do_compression=packed)
        add(name, what, loadmat, scipy.io.loadmat, write)
    load = f"numpy.load {np.__version__}"
    add("c.npy", "NumPy .npy, C order", load, np.load, lambda p: np.save(p, x))
    # Both sides give the samples channel by channel, so both turn them.
    turned = lambda p: np.ascontiguousarray(np.load(p))
    what = f"{load} and ascontiguousarray"
    add("f.npy", "NumPy .npy, Fortran order", what, turned, lambda p: np.save(p, np.asfortranarray(x)))
    add("stored.npz", "NumPy .npz", load, npz, lambda p: np.savez(p, x=x))
    add("packed.npz", "NumPy .npz, compressed", load, npz, lambda p: np.savez_compressed(p, x=x))
    few = x[:, : SAMPLES // 8].T
    header = ",".join(f"E{i}" for i in range(CHANNELS))
    add(
        "x.csv",
        "CSV",
        f"numpy.loadtxt {np.__version__}",
        lambda p: np.loadtxt(p, delimiter=",", skiprows=1),
        lambda p: np.savetxt(p, few, fmt="%.5f", delimiter=",", header=header, comments=""),
    )
    return made


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    default = os.path.join(here, "../../target/release/examples/tree_read")
    binary = sys.argv[1] if len(sys.argv) > 1 else default
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    with tempfile.TemporaryDirectory() as folder:
        for what, path, peer, read in files(folder):
            total(read(path))
            ours, theirs, cpu, their_cpu = [], [], [], []
            for _ in range(ROUNDS):
                found = json.loads(subprocess.check_output([binary, path, "2"]))
                ours.append(found["seconds"][-1])
                cpu.append(found["cpu"][-1])
                start, busy = time.perf_counter(), time.process_time()
                arrays = read(path)
                theirs.append(time.perf_counter() - start)
                their_cpu.append(time.process_time() - busy)
                sum_of_theirs = total(arrays)
                del arrays
            scale = abs(sum_of_theirs) + 1e-3
            assert abs(found["sum"] - sum_of_theirs) < 1e-6 * scale, (what, found, sum_of_theirs)
            a, b = min(ours), min(theirs)
            line = f"{what}: {os.path.getsize(path) / 2**20:.0f} MiB, mmpipe {a:.4f} s, {peer} {b:.4f} s"
            c, d = min(cpu), min(their_cpu)
            print(f"{line}, ratio {b / a:.1f}; CPU {c:.4f} s, {d:.4f} s, ratio {d / c if c else float('inf'):.1f}", flush=True)


if __name__ == "__main__":
    main()
