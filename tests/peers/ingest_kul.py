#!/usr/bin/env python3
"""Ingest of subjects of the size of KUL's, against SciPy and MNE-Python doing the same in one run.

    pip install "mne==1.13.*" pyarrow soundfile soxr
    cargo build --release
    python tests/peers/ingest_kul.py target/release/mmpipe [--subjects 1]

Input, made here by SciPy: `S1.mat` (and so on; the data set has 16), a compressed MATLAB v5 file with a cell
of 20 trials of 6 min, 64 channels at 128 Hz in f64 (noise: doubles of filtered EEG hardly compress either), and the dry
sounds of four parts, two talkers each, 44.1 kHz mono, 16 bits.

Both sides read the trials, band-pass them 1-40 Hz (Butterworth of order 4, forward and backward),
resample them to 200 Hz by a polyphase filter, cut 2-s epochs, z-score each channel of each epoch
and write float32 to one Parquet file a trial; and read each sound once, resample it to 16 kHz, cut
2-s segments, divide each by its peak and write them to one Parquet file a sound. One thread each,
files in the page cache, rounds alternate, the median counts. For mmpipe the whole process counts,
with its checks, hashes, labels and tables; for Python first without its imports, then the whole
process, too, which still hashes nothing and leaves to the system when its files reach the disk.
"""

import argparse
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

from ingest_mne import condition, measure

TRIALS, CHANNELS, SFREQ, SECONDS, AUDIO = 20, 64, 128, 360, 44_100
NAMES = (
    "Fp1 AF7 AF3 F1 F3 F5 F7 FT7 FC5 FC3 FC1 C1 C3 C5 T7 TP7 CP5 CP3 CP1 P1 P3 P5 P7 P9 PO7 PO3 O1 "
    "Iz Oz POz Pz CPz Fpz Fp2 AF8 AF4 AFz Fz F2 F4 F6 F8 FT8 FC6 FC4 FC2 FCz Cz C2 C4 C6 T8 TP8 CP6 "
    "CP4 CP2 P2 P4 P6 P8 P10 PO8 PO4 O2"
).split()


def write(raw, subjects):
    import numpy as np
    import scipy.io
    import soundfile

    rng = np.random.default_rng(0)
    labels = np.array([(name,) for name in NAMES], dtype=[("Label", object)])
    for subject in range(1, subjects + 1):
        trials = np.empty((1, TRIALS), dtype=object)
        for k in range(TRIALS):
            part, side = k % 4 + 1, "LR"[k // 4 % 2]
            trials[0, k] = {
                "RawData": {"EegData": 20 * rng.standard_normal((SECONDS * SFREQ, CHANNELS)), "Channels": np.arange(1, 65)},
                "FileHeader": {"SampleRate": float(SFREQ), "ChannelCount": 64.0, "Channels": labels},
                "TrialID": float(k + 1),
                "attended_ear": side,
                "attended_track": 1.0,
                "stimuli": np.array([f"part{part}_track1_dry.wav", f"part{part}_track2_dry.wav"], dtype=object),
                "condition": "dry",
                "experiment": 1.0,
                "part": float(part),
                "repetition": 0.0,
                "subject": f"S{subject}",
            }
        scipy.io.savemat(raw / f"S{subject}.mat", {"trials": trials}, do_compression=True)
    (raw / "stimuli").mkdir()
    for part in range(1, 5):
        for track in (1, 2):
            sound = 0.1 * rng.standard_normal((SECONDS + 5) * AUDIO)
            soundfile.write(raw / "stimuli" / f"part{part}_track{track}_dry.wav", sound, AUDIO, subtype="PCM_16")


def worker(raw, out):
    """The Python side, in a process of its own."""
    import mne
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq
    import scipy.io
    import soundfile
    import soxr

    mne.set_log_level("ERROR")
    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)
    raw, out = pathlib.Path(raw), pathlib.Path(out)
    condition(mne.io.RawArray(np.zeros((1, 4000)), mne.create_info(1, 512.0, "eeg")))

    def store(rows, name):
        n, times = rows.shape
        values = pa.FixedSizeListArray.from_arrays(pa.array(rows.ravel()), times)
        table = pa.table({"row": pa.array(np.arange(n, dtype=np.int32)), "samples": values})
        pq.write_table(table, out / name, compression="none", use_dictionary=False, write_statistics=False)

    begin, cpu = time.perf_counter(), time.process_time()
    for subject in sorted(raw.glob("S*.mat")):
        trials = scipy.io.loadmat(subject, squeeze_me=True, struct_as_record=False)["trials"]
        for k, trial in enumerate(trials):
            names = [channel.Label for channel in trial.FileHeader.Channels]
            info = mne.create_info(names, float(trial.FileHeader.SampleRate), "eeg")
            eeg = condition(mne.io.RawArray(trial.RawData.EegData.T * 1e-6, info))
            data = mne.make_fixed_length_epochs(eeg, duration=2.0, preload=True).get_data(copy=False)
            mean = data.mean(axis=2, keepdims=True)
            z = ((data - mean) / np.maximum(data.std(axis=2, keepdims=True), 1e-30)).astype(np.float32)
            store(z.reshape(-1, z.shape[2]), f"{subject.stem}-trial{k}.parquet")
    for path in sorted((raw / "stimuli").glob("*.wav")):
        sound, rate = soundfile.read(path, dtype="float32")
        sound = soxr.resample(sound, rate, 16_000, quality="HQ")
        segments = sound[: len(sound) // 32_000 * 32_000].reshape(-1, 32_000)
        store(segments / np.abs(segments).max(axis=1, keepdims=True), f"{path.stem}.parquet")
    print(json.dumps({"seconds": time.perf_counter() - begin, "cpu": time.process_time() - cpu}))


def warm(subjects):
    """Has the system take memory into use and give it back, as much as either side will want.

    A host may take free memory from its virtual machine, and what comes anew comes at 0.4 GB/s. Which
    run would pay for that is chance.
    """
    touch = (
        "import mmap, sys; gib = 1 << 30; n = int(sys.argv[1]); m = mmap.mmap(-1, n * gib); "
        "m.madvise(mmap.MADV_HUGEPAGE); x = bytes(1 << 24); any(m.write(x) == 0 for _ in range(n * 64))"
    )
    subprocess.run([sys.executable, "-c", touch, str(2 + subjects)], check=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("mmpipe", type=pathlib.Path, help="release binary")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--subjects", type=int, default=1)
    parser.add_argument("--input", type=pathlib.Path, help="folder of the input; made where it is absent")
    parser.add_argument("--worker", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--write", type=pathlib.Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        return worker(*args.worker)
    if args.write:
        return write(args.write, args.subjects)
    binary = args.mmpipe.resolve(strict=True)
    with tempfile.TemporaryDirectory(prefix="mmpipe-peers-") as scratch:
        scratch = pathlib.Path(scratch)
        raw = args.input or scratch / "raw"
        if not raw.exists():
            raw.mkdir()
            # A process of its own: a child starts with the peak memory of its parent.
            subprocess.run([sys.executable, __file__, binary, "--write", raw, "--subjects", str(args.subjects)], check=True)
        for path in raw.rglob("*.*"):
            with open(path, "rb") as file:
                while file.read(1 << 20):
                    pass
        lake, out = scratch / "lake", scratch / "python"
        ingest = [binary, "--lake", lake, "ingest", "--dataset", "KUL", "--raw", raw]
        one, all_cores = "mmpipe, one thread", f"mmpipe, {os.cpu_count()} cores"
        python, whole = "Python", "Python, whole process"
        runs = {one: [], all_cores: [], python: [], whole: []}

        def ours(name, *measured):
            shutil.rmtree(lake, ignore_errors=True)
            # What the run before left to be written is not this one's.
            os.sync()
            warm(args.subjects)
            seconds, memory, cpu, _ = measure(*measured)
            runs[name].append((seconds, cpu, memory))

        for turn in range(args.rounds):
            ours(one, [*ingest, "--threads", "1"])
            ours(all_cores, ingest, {})
            shutil.rmtree(lake)
            shutil.rmtree(out, ignore_errors=True)
            out.mkdir()
            os.sync()
            warm(args.subjects)
            seconds, memory, cpu, text = measure([sys.executable, __file__, binary, "--worker", raw, out])
            report = json.loads(text.strip().splitlines()[-1])
            runs[python].append((report["seconds"], report["cpu"], memory))
            runs[whole].append((seconds, cpu, memory))
            print(f"round {turn + 1}: " + ", ".join(f"{name} {rows[-1][0]:.2f} s" for name, rows in runs.items()), flush=True)
        median = lambda name, k: statistics.median(r[k] for r in runs[name])
        for name, rows in runs.items():
            peak = max(r[2] for r in rows) / 1e6
            print(f"{name}: {median(name, 0):.2f} s wall, {median(name, 1):.2f} s CPU, peak {peak:.0f} MB")
        for name in (one, all_cores):
            for peer in (python, whole):
                print(
                    f"{name}, against {peer}: ratio {median(peer, 0) / median(name, 0):.2f} by wall time, "
                    f"{median(peer, 1) / median(name, 1):.2f} by CPU time (wanted: at least 5 by wall time)"
                )


if __name__ == "__main__":
    main()
