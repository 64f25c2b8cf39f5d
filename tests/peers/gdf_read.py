#!/usr/bin/env python3
"""Reading GDF, side by side in one run on one core: mmpipe and MNE-Python.

    pip install "mne==1.13.*" numpy
    cargo build --release -p mmpipe-formats --example recording_read
    python tests/peers/gdf_read.py [target/release/examples/recording_read]

Two files of 25 channels x 250 Hz x 45 min, 16 bits: one GDF 2.20 with records of 1 s, one as BCI
competition IV 2A has it (one sample a record, nine runs with 100 missing samples between them,
events). Both sides open the file, read its events and decode all samples, mmpipe to float32 by
blocks into buffers that are used again, MNE to float64 as it always does (`preload=True`). mmpipe
also looks for the gaps. Rounds alternate, the files are in the page cache, the median counts;
the imports of Python are left out. The sums over all samples must agree.
"""

import json
import os
import statistics
import struct
import subprocess
import sys
import tempfile
import time

import mne
import numpy as np

CHANNELS, SFREQ, SECONDS, ROUNDS = 25, 250, 2700, 7
RUNS, GAP = 9, 100


def write(path, record, events, missing):
    """`record` samples a channel in a data record."""
    n, total = CHANNELS, SFREQ * SECONDS
    rng = np.random.default_rng(3)
    x = rng.integers(-30000, 30000, (total, n)).astype("<i2")
    for start in missing:
        x[start : start + GAP] = -32768
    out = b"GDF 2.20" + b"X X".ljust(66, b"\0") + b"\0" * 14 + b"peer".ljust(64, b"\0") + b"\0" * 16
    out += struct.pack("<QQ", 733000 << 32, 0) + struct.pack("<H", n + 1) + b"\0" * 50
    out += struct.pack("<qII", total // record, record, SFREQ) + struct.pack("<HH", n, 0)
    out += b"".join(f"E{k}".encode().ljust(16, b"\0") for k in range(n)) + b"\0" * 86 * n
    out += struct.pack("<H", 4275) * n
    for value in (-100.0, 100.0, -32768.0, 32767.0):
        out += struct.pack("<d", value) * n
    out += b"\0" * 68 * n + struct.pack("<f", float("nan")) * 3 * n
    out += struct.pack("<I", record) * n + struct.pack("<I", 3) * n + b"\0" * 32 * n
    assert len(out) == 256 * (n + 1)
    table = struct.pack("<I", 1 | len(events) << 8) + struct.pack("<f", SFREQ)
    table += np.array([e[0] + 1 for e in events], "<u4").tobytes()
    table += np.array([e[1] for e in events], "<u2").tobytes()
    with open(path, "wb") as f:
        f.write(out)
        x.reshape(total // record, record, n).swapaxes(1, 2).tofile(f)
        f.write(table)
    # The sum that both sides must find, in microvolts.
    there = x != -32768
    return float((x[there].astype(float) * (200 / 65535) + (-100 + 32768 * 200 / 65535)).sum())


def read_mne(path):
    start = time.perf_counter()
    raw = mne.io.read_raw_gdf(path, preload=True, verbose="error")
    spent = time.perf_counter() - start
    data = raw.get_data() * 1e6
    return spent, float(data[data > -99.9995].sum())


def read_ours(binary, path):
    found = json.loads(subprocess.run([binary, path, "1"], check=True, capture_output=True).stdout)
    return found["seconds"][0], found["sum"], found["runs"]


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    default = os.path.join(here, "../../target/release/examples/recording_read")
    binary = sys.argv[1] if len(sys.argv) > 1 else default
    os.sched_setaffinity(0, {0})
    length = SFREQ * SECONDS // RUNS
    missing = [k * length - GAP for k in range(1, RUNS)]
    marks = [(k * length, 32766) for k in range(RUNS)]
    trials = [(t, code) for t in range(500, SFREQ * SECONDS - 2000, 2000) for code in (768, 769)]
    with tempfile.TemporaryDirectory() as folder:
        for name, record, gaps in (("records of 1 s", SFREQ, []), ("as 2A", 1, missing)):
            path = os.path.join(folder, "x.gdf")
            want = write(path, record, sorted(marks + trials), gaps)
            read_mne(path)
            times = {"mmpipe": [], "MNE": []}
            for _ in range(ROUNDS):
                spent, ours, runs = read_ours(binary, path)
                times["mmpipe"].append(spent)
                spent, theirs = read_mne(path)
                times["MNE"].append(spent)
            assert runs == len(gaps) + 1, runs
            assert abs(ours - want) < 1e-3 * SECONDS * SFREQ and abs(theirs - want) < 1.0, (ours, theirs, want)
            ours, theirs = (statistics.median(times[k]) for k in ("mmpipe", "MNE"))
            mib = os.path.getsize(path) / 2**20
            print(f"{name}: {mib:.0f} MiB, mmpipe {ours:.4f} s, MNE {mne.__version__} {theirs:.4f} s, "
                  f"MNE / mmpipe {theirs / ours:.1f}")


if __name__ == "__main__":
    main()
