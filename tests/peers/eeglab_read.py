#!/usr/bin/env python3
"""Reading EEGLAB sets, side by side in one run on one core: mmpipe and MNE-Python.

    pip install "mne==1.13.*" eeglabio h5py pymatreader
    cargo build --release -p mmpipe-formats --example recording_read
    python tests/peers/eeglab_read.py [target/release/examples/recording_read]

64 channels x 500 Hz x 5 min: a .set with its .fdt (SciPy's savemat), the samples inside a MATLAB
v5 .set (eeglabio), and inside a v7.3 one (eeglabio). Both sides open the file, read its events and
decode all samples, mmpipe to float32 by blocks into buffers that are used again, MNE to float64 as
it always does (`preload=True`). Rounds alternate, the files are in the page cache, the median
counts; mmpipe reads twice in a process and the second counts, as MNE has read the file before too; the imports of Python are left out. The sums over all samples must agree.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import warnings

import mne
import numpy as np
from eeglabio.raw import export_set
from scipy.io import savemat

CHANNELS, SFREQ, SECONDS, ROUNDS = 64, 500, 300, 7


def write(folder):
    n, points = CHANNELS, SFREQ * SECONDS
    x = (np.random.default_rng(3).normal(size=(n, points)) * 30).astype("<f4")
    names = [f"E{i}" for i in range(n)]
    onsets = np.arange(1.0, SECONDS - 1, 2.0)
    marks = [["S 5"] * len(onsets), onsets, np.zeros(len(onsets))]
    events = np.rec.fromarrays(
        [np.array(marks[0], object), (onsets * SFREQ + 1).astype(object)], names=["type", "latency"])
    chanlocs = np.rec.fromarrays([np.array(names, object)], names=["labels"])
    eeg = dict(setname="x", nbchan=n, pnts=points, trials=1, srate=float(SFREQ), xmin=0.0,
               xmax=points / SFREQ, data="fdt.fdt", chanlocs=chanlocs, event=events)
    savemat(os.path.join(folder, "fdt.set"), dict(EEG=eeg), appendmat=False)
    x.T.tofile(os.path.join(folder, "fdt.fdt"))
    volts = x.astype(float) * 1e-6
    export_set(os.path.join(folder, "v5.set"), volts, SFREQ, names, annotations=marks)
    export_set(os.path.join(folder, "v73.set"), volts, SFREQ, names, annotations=marks, fmt="v7.3")
    return float(x.astype(float).sum())


def read_mne(path):
    start = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        raw = mne.io.read_raw_eeglab(path, preload=True, verbose="error")
    spent = time.perf_counter() - start
    return spent, float((raw.get_data() * 1e6).sum())


def read_ours(binary, path):
    found = json.loads(subprocess.run([binary, path, "2"], check=True, stdout=subprocess.PIPE).stdout)
    return found["seconds"][-1], found["sum"]


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    default = os.path.join(here, "../../target/release/examples/recording_read")
    binary = sys.argv[1] if len(sys.argv) > 1 else default
    os.sched_setaffinity(0, {0})
    with tempfile.TemporaryDirectory() as folder:
        want = write(folder)
        for name in ("fdt", "v5", "v73"):
            path = os.path.join(folder, name + ".set")
            read_mne(path)
            times = {"mmpipe": [], "MNE": []}
            for _ in range(ROUNDS):
                spent, ours = read_ours(binary, path)
                times["mmpipe"].append(spent)
                spent, theirs = read_mne(path)
                times["MNE"].append(spent)
            assert abs(ours - want) < 1.0 and abs(theirs - want) < 1.0, (ours, theirs, want)
            ours, theirs = (statistics.median(times[k]) for k in ("mmpipe", "MNE"))
            size = sum(os.path.getsize(os.path.join(folder, f)) for f in os.listdir(folder)
                       if f.startswith(name + "."))
            print(f"EEGLAB {name}: {size / 2**20:.0f} MiB, mmpipe {ours:.4f} s, MNE "
                  f"{mne.__version__} {theirs:.4f} s, MNE / mmpipe {theirs / ours:.1f}")


if __name__ == "__main__":
    main()
