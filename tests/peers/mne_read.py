#!/usr/bin/env python3
"""Reading EDF, BDF and BrainVision, side by side in one run on one core: mmpipe and MNE-Python.

    pip install "mne==1.13.*" numpy
    cargo build --release -p mmpipe-formats --example recording_read
    python tests/peers/mne_read.py [target/release/examples/recording_read]

64 channels x 512 Hz x 5 min: EDF (16 bits) and BDF (24 bits) with records of 1 s, BrainVision as
16-bit integers and as 32-bit floats. Both sides open the file and decode all samples, mmpipe to
float32 by blocks into buffers that are used again, MNE to float64 as it always does
(`preload=True`). Rounds alternate, the files are in the page cache, the median counts; mmpipe
reads twice in a process and the second counts, as MNE has read the file before too; the imports
of Python are left out. The sums over all samples must agree.
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

CHANNELS, SFREQ, SECONDS, ROUNDS = 64, 512, 300, 7


def european(path, bits):
    """EDF or BDF of a digital random signal, 100 uV at the digital limits; its sum in uV."""
    n, low, high = CHANNELS, -(1 << bits - 1), (1 << bits - 1) - 1
    cell = lambda text, width: str(text).ljust(width).encode("ascii")
    out = cell("0", 8) if bits == 16 else b"\xffBIOSEMI"
    out += cell("X X X X", 80) + cell("Startdate X X X X", 80)
    out += cell("01.01.00", 8) + cell("00.00.00", 8) + cell(256 * (n + 1), 8)
    out += cell("" if bits == 16 else "24BIT", 44) + cell(SECONDS, 8) + cell(1, 8) + cell(n, 4)
    out += b"".join(cell(f"E{i}", 16) for i in range(n)) + cell("", 80) * n + cell("uV", 8) * n
    out += cell(-100, 8) * n + cell(100, 8) * n + cell(low, 8) * n + cell(high, 8) * n
    out += cell("", 80) * n + cell(SFREQ, 8) * n + cell("", 32) * n
    x = np.random.default_rng(0).integers(low, high + 1, (SECONDS, n, SFREQ), "<i4")
    with open(path, "wb") as f:
        f.write(out)
        f.write(np.ascontiguousarray(x.view("u1").reshape(*x.shape, 4)[..., : bits // 8]).tobytes())
    return float(((x - float(low)) * (200 / (high - low)) - 100).sum())


def brainvision(path, kind):
    """The three files; the sum in uV."""
    x = np.random.default_rng(0).normal(size=(SECONDS * SFREQ, CHANNELS)) * 300
    x = x.astype("<i2" if kind == "INT_16" else "<f4")
    stem = os.path.basename(path)[:-5]
    x.tofile(path[:-4] + "eeg")
    step = 0.1 if kind == "INT_16" else 1
    head = ["Brain Vision Data Exchange Header File Version 1.0", "[Common Infos]", "Codepage=UTF-8"]
    head += [f"DataFile={stem}.eeg", f"MarkerFile={stem}.vmrk", "DataFormat=BINARY"]
    head += ["DataOrientation=MULTIPLEXED", f"NumberOfChannels={CHANNELS}"]
    head += [f"SamplingInterval={1e6 / SFREQ}", "[Binary Infos]", f"BinaryFormat={kind}"]
    head += ["[Channel Infos]"] + [f"Ch{i + 1}=E{i},,{step},uV" for i in range(CHANNELS)]
    marks = ["Brain Vision Data Exchange Marker File, Version 1.0", "[Common Infos]"]
    marks += [f"DataFile={stem}.eeg", "[Marker Infos]", "Mk1=New Segment,,1,1,0"]
    for end, lines in (("vhdr", head), ("vmrk", marks)):
        with open(path[:-4] + end, "w", newline="\r\n") as f:
            f.write("\n".join(lines) + "\n")
    return float(x.astype(float).sum() * step)


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    default = os.path.join(here, "../../target/release/examples/recording_read")
    binary = sys.argv[1] if len(sys.argv) > 1 else default
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    cases = [
        ("EDF", "x.edf", lambda p: european(p, 16), mne.io.read_raw_edf),
        ("BDF", "x.bdf", lambda p: european(p, 24), mne.io.read_raw_bdf),
        ("BrainVision, INT_16", "i.vhdr", lambda p: brainvision(p, "INT_16"), mne.io.read_raw_brainvision),
        ("BrainVision, IEEE_FLOAT_32", "f.vhdr", lambda p: brainvision(p, "IEEE_FLOAT_32"), mne.io.read_raw_brainvision),
    ]
    with tempfile.TemporaryDirectory() as folder:
        for what, name, write, read in cases:
            path = os.path.join(folder, name)
            want = write(path)
            raw = read(path, preload=True, verbose="error")
            theirs_found = float(raw.get_data().sum() * 1e6)
            # Float32 keeps 7 digits of each of ten million samples.
            scale = 1e-3 * SFREQ * SECONDS
            ours, theirs = [], []
            for _ in range(ROUNDS):
                del raw
                found = json.loads(subprocess.check_output([binary, path, "2"]))
                ours.append(found["seconds"][-1])
                start = time.perf_counter()
                raw = read(path, preload=True, verbose="error")
                theirs.append(time.perf_counter() - start)
            assert abs(found["sum"] - want) < scale, (what, found["sum"], want)
            assert abs(theirs_found - want) < scale, (what, theirs_found, want)
            a, b = statistics.median(ours), statistics.median(theirs)
            size = os.path.getsize(path if name.startswith("x.") else path[:-4] + "eeg") / 2**20
            print(f"{what}: {size:.0f} MiB, mmpipe {a:.4f} s, MNE {mne.__version__} {b:.4f} s, ratio {b / a:.1f}", flush=True)


if __name__ == "__main__":
    main()
