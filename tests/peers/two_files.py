#!/usr/bin/env python3
"""Reading two recordings on two cores, side by side in one run: mmpipe and the Python readers.

    pip install "mne==1.13.*" eeglabio h5py numpy pymatreader scipy
    cargo build --release -p mmpipe-trees --example tree_read
    cargo build --release -p mmpipe-formats --example recording_read
    python tests/peers/two_files.py [target/release/examples]

The other scripts here measure one core. This one measures how corpora are read: an ingest decodes as
many recordings at a time as there are cores; a script of MNE, SciPy or h5py reads one after the other.
Files and rules are those of `arrays_read.py`, `eeglab_read.py`, `hdf5_read.py` and `mne_read.py`, for
the containers that stand near or below 3 there. Each of two processes of mmpipe, each on its own core, reads its copy of the
file PASSES times; the slower one's median counts. The peer's median is of ROUNDS times both copies.
"""

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

import h5py
import numpy as np

import arrays_read
import eeglab_read
import hdf5_read
import mne_read

PASSES, ROUNDS = 15, 5


def ours(binary, paths, more, cores):
    """Seconds of the slower one; the sums."""
    running = [
        subprocess.Popen(
            ["taskset", "-c", str(core), binary, path, str(PASSES), *more], stdout=subprocess.PIPE
        )
        for path, core in zip(paths, cores)
    ]
    found = [json.loads(p.communicate()[0]) for p in running]
    return max(statistics.median(f["seconds"][1:]) for f in found), [f["sum"] for f in found]


def theirs(paths, read):
    """Seconds of both, one after the other."""
    start = time.perf_counter()
    for path in paths:
        arrays = read(path)
        del arrays
    return time.perf_counter() - start


def cases(folder, examples):
    """What, path, files beside it, example with its arguments, the peer's reader."""
    tree = os.path.join(examples, "tree_read")
    recording = os.path.join(examples, "recording_read")
    wanted = ("packed.mat", "trials.mat", "c.npy", "f.npy", "packed.npz")
    for what, path, _, read in arrays_read.files(folder):
        if os.path.basename(path) in wanted:
            yield what, path, [], tree, [], read
    x = (np.random.default_rng(0).normal(size=(hdf5_read.CHANNELS, hdf5_read.SAMPLES)) * 1000).astype("i2")
    path = os.path.join(folder, "v73.mat")
    how = dict(chunks=(8192, 4), compression="gzip", compression_opts=3)
    hdf5_read.write(path, x.astype("f8"), True, how)
    at_once = [str(hdf5_read.LANES), str(hdf5_read.BLOCK)]
    yield "MATLAB v7.3, deflate", path, [], tree, at_once, lambda p: hdf5_read.peer(p, True)[2]
    eeglab_read.write(folder)
    path = os.path.join(folder, "fdt.set")
    read = lambda p: mne_read.mne.io.read_raw_eeglab(p, preload=True, verbose="error")
    yield "EEGLAB .fdt", path, [path[:-3] + "fdt"], recording, [], read
    for kind, name in (("INT_16", "i.vhdr"), ("IEEE_FLOAT_32", "f.vhdr")):
        path = os.path.join(folder, name)
        mne_read.brainvision(path, kind)
        beside = [path[:-4] + "eeg", path[:-4] + "vmrk"]
        read = lambda p: mne_read.mne.io.read_raw_brainvision(p, preload=True, verbose="error")
        yield f"BrainVision, {kind}", path, beside, recording, [], read


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    examples = sys.argv[1] if len(sys.argv) > 1 else os.path.join(here, "../../target/release/examples")
    cores = sorted(os.sched_getaffinity(0))[:2]
    with tempfile.TemporaryDirectory() as folder:
        for what, path, beside, binary, more, read in cases(folder, examples):
            second = os.path.join(folder, "second")
            os.makedirs(second, exist_ok=True)
            for file in [path, *beside]:
                shutil.copy(file, second)
            paths = [path, os.path.join(second, os.path.basename(path))]
            theirs(paths, read)
            times = [], []
            for _ in range(ROUNDS):
                seconds, sums = ours(binary, paths, more, cores)
                assert sums[0] == sums[1], (what, sums)
                times[0].append(seconds)
                times[1].append(theirs(paths, read))
            a, b = (statistics.median(t) for t in times)
            print(f"{what}: two files, mmpipe {a:.4f} s, the peer {b:.4f} s, ratio {b / a:.1f}", flush=True)
            shutil.rmtree(second)


if __name__ == "__main__":
    main()
