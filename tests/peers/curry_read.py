#!/usr/bin/env python3
"""Reading Curry 8, side by side in one run on one core: mmpipe and MNE-Python.

    pip install "mne==1.13.*" curryreader
    cargo build --release -p mmpipe-formats --example recording_read
    python tests/peers/curry_read.py [target/release/examples/recording_read]

64 channels x 500 Hz x 10 min of 32-bit floats. Both sides open the file, read its events and
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

import mne
import numpy as np

CHANNELS, SFREQ, SECONDS, ROUNDS = 64, 500, 600, 7


def listed(name, rows):
    out = f"{name} START\n   ListNrRows           =  {len(rows)}\n{name} END\n\n"
    return out + f"{name} START_LIST\n" + "".join(f"{r}\n" for r in rows) + f"{name} END_LIST\n\n"


def write(path):
    n, points = CHANNELS, SFREQ * SECONDS
    x = (np.random.default_rng(3).normal(size=(points, n)) * 30).astype("<f4")
    x.tofile(path)
    rows = dict(NumSamples=points, NumChannels=n, NumTrials=1, SampleFreqHz=SFREQ,
                TriggerOffsetUsec=0, DataFormat="FLOAT", DataSampOrder="SAMP",
                SampleTimeUsec=1e6 / SFREQ, DataByteOrder="INTEL", StartYear=2020, StartMonth=1,
                StartDay=1, StartHour=0, StartMin=0, StartSec=0, StartMillisec=0, AmplifierInfo="x")
    head = "FileVersion = 803\nDATA_PARAMETERS START\n"
    head += "".join(f"   {k} = {v}\n" for k, v in rows.items()) + "DATA_PARAMETERS END\n\n"
    head += f"DEVICE_PARAMETERS START\n   DataUnit = uV\n   NumChanThisGroup = {n}\n"
    head += "DEVICE_PARAMETERS END\n\n" + listed("LABELS", [f"E{i}" for i in range(n)])
    head += listed("SENSORS", [f"{i}\t{i}\t{i}" for i in range(n)])
    head += "IMPEDANCE_VALUES START_LIST\n" + "\t".join(["-1"] * n) + "\nIMPEDANCE_VALUES END_LIST\n"
    head += "EPOCH_INFORMATION START_LIST\n\nEPOCH_INFORMATION END_LIST\n"
    marks = range(500, points - 500, 1000)
    events = ["\t".join(map(str, [t, 3, 5, 2, t, t, 0, 0, 0, 0, 1])) for t in marks]
    with open(path + ".dpa", "w") as f:
        f.write(head)
    with open(path + ".ceo", "w") as f:
        f.write("\n" + listed("NUMBER_LIST", events) + listed("REMARK_LIST", [""] * len(events)))
    return float(x.astype(float).sum())


def read_mne(path):
    start = time.perf_counter()
    raw = mne.io.read_raw_curry(path, preload=True, verbose="error")
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
        path = os.path.join(folder, "x.cdt")
        want = write(path)
        read_mne(path)
        times = {"mmpipe": [], "MNE": []}
        for _ in range(ROUNDS):
            spent, ours = read_ours(binary, path)
            times["mmpipe"].append(spent)
            spent, theirs = read_mne(path)
            times["MNE"].append(spent)
        assert abs(ours - want) < 1e-3 and abs(theirs - want) < 1e-3, (ours, theirs, want)
        ours, theirs = (statistics.median(times[k]) for k in ("mmpipe", "MNE"))
        mib = os.path.getsize(path) / 2**20
        print(f"Curry 8: {mib:.0f} MiB, mmpipe {ours:.4f} s, MNE {mne.__version__} {theirs:.4f} s, "
              f"MNE / mmpipe {theirs / ours:.1f}")


if __name__ == "__main__":
    main()
