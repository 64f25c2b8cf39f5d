#!/usr/bin/env python3
"""Ingest by mmpipe against MNE-Python doing the same, side by side in one run, one thread each.

    pip install "mne==1.13.*" pyarrow
    cargo build --release
    python tests/peers/ingest_mne.py target/release/mmpipe

Input: a BIDS folder of EDF files (64 channels x 512 Hz x 600 s unless told otherwise), made by
`cargo run --release -p mmpipe-simulate --example bench_bids` when `--bids` names none.

Both sides read each file, band-pass it 1-40 Hz (Butterworth of order 4, forward and backward),
resample it to 200 Hz by a polyphase filter, cut 2-s epochs, z-score each channel of each epoch
and write float32 to one Parquet file a recording. The files are read once beforehand, so both
find them in the page cache. Rounds alternate; the median counts. For MNE the time of importing
its modules is left out; for mmpipe the whole process counts. CPU time says what a core does on a
machine that is busy with other things; on an idle one both ratios should agree. Peak memory is `ru_maxrss` of the
child process.

The last lines compare what both wrote: the two must agree but for the edges of the recording,
which MNE pads in another way.
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

ONE_THREAD = {
    name: "1"
    for name in (
        "OMP_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "MKL_NUM_THREADS",
        "NUMEXPR_NUM_THREADS",
        "RAYON_NUM_THREADS",
        "ARROW_NUM_THREADS",
    )
}


def recordings(bids):
    return sorted(pathlib.Path(bids).glob("sub-*/eeg/*_eeg.edf"))


def worker(bids, out):
    """The MNE side, in a process of its own."""
    import mne
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    mne.set_log_level("ERROR")
    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)
    # Import what is loaded lazily, so that it is not in the measured time.
    from mne.io import read_raw_edf

    tiny = mne.io.RawArray(np.zeros((1, 4000)), mne.create_info(1, 512.0, "eeg"))
    condition(tiny)
    begin, cpu = time.perf_counter(), time.process_time()
    for path in recordings(bids):
        raw = condition(read_raw_edf(path, preload=True))
        epochs = mne.make_fixed_length_epochs(raw, duration=2.0, preload=True)
        data = epochs.get_data(copy=False)
        mean = data.mean(axis=2, keepdims=True)
        std = data.std(axis=2, keepdims=True)
        z = ((data - mean) / np.maximum(std, 1e-30)).astype(np.float32)
        n, channels, times = z.shape
        values = pa.FixedSizeListArray.from_arrays(pa.array(z.ravel()), times)
        eeg = pa.ListArray.from_arrays(pa.array(np.arange(0, n * channels + 1, channels, dtype=np.int32)), values)
        table = pa.table({"epoch": pa.array(np.arange(n, dtype=np.int32)), "eeg": eeg})
        pq.write_table(
            table,
            pathlib.Path(out) / f"{path.stem}.parquet",
            compression="none",
            use_dictionary=False,
            write_statistics=False,
        )
    times = {"seconds": time.perf_counter() - begin, "cpu": time.process_time() - cpu}
    print(json.dumps({**times, "mne": mne.__version__}))


def condition(raw):
    raw.filter(1.0, 40.0, method="iir", iir_params={"order": 4, "ftype": "butter", "output": "sos"}, phase="zero")
    return raw.resample(200.0, method="polyphase", npad="auto")


def measure(command, threads=ONE_THREAD):
    """Runs a command; wall seconds, peak memory in bytes, CPU seconds and its output."""
    begin = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, env={**os.environ, **threads}, text=True)
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - begin
    code = os.waitstatus_to_exitcode(status)
    process.returncode = code
    if code != 0:
        sys.exit(f"{' '.join(map(str, command))} ended with {code}\n{output}")
    return seconds, usage.ru_maxrss * 1024, usage.ru_utime + usage.ru_stime, output


def compare(lake, out):
    """Largest and median difference of the z-scored samples, edges of the recording left out."""
    import numpy as np
    import pyarrow.parquet as pq

    shards = sorted((lake / "eeg").glob("recipe=*/dataset=*/subject=*/*.parquet"))
    theirs = sorted(out.glob("*.parquet"))
    if len(shards) != len(theirs):
        sys.exit(f"expected {len(theirs)} shards in {lake}, found {len(shards)}")

    def samples(path, order):
        table = pq.ParquetFile(path).read(columns=["eeg", order]).sort_by(order)
        column = table["eeg"].combine_chunks()
        n = len(column)
        return np.asarray(column.flatten().flatten()).reshape(n, -1)

    worst, medians = 0.0, []
    for a, b in zip(shards, theirs):
        x, y = samples(a, "epoch"), samples(b, "epoch")
        n = min(len(x), len(y))
        if abs(len(x) - len(y)) > 1 or x.shape[1] != y.shape[1]:
            sys.exit(f"{a.name}: {x.shape} against {y.shape} of MNE")
        diff = np.abs(x[3 : n - 3] - y[3 : n - 3])
        worst = max(worst, float(diff.max()))
        medians.append(float(np.median(diff)))
    return worst, max(medians)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("mmpipe", type=pathlib.Path, help="release binary")
    parser.add_argument("--bids", type=pathlib.Path, help="folder of EDF recordings; made when absent")
    parser.add_argument("--files", type=int, default=4)
    parser.add_argument("--channels", type=int, default=64)
    parser.add_argument("--sfreq", type=int, default=512)
    parser.add_argument("--seconds", type=int, default=600)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--worker", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        return worker(*args.worker)
    # A command with a folder in it is found from where it was named.
    binary = args.mmpipe.resolve(strict=True)

    with tempfile.TemporaryDirectory(prefix="mmpipe-peers-") as scratch:
        scratch = pathlib.Path(scratch)
        bids = args.bids or scratch / "bids"
        if not bids.exists():
            sizes = [str(v) for v in (args.files, args.channels, args.sfreq, args.seconds)]
            subprocess.run(
                ["cargo", "run", "-q", "--release", "-p", "mmpipe-simulate", "--example", "bench_bids", "--", bids, *sizes],
                check=True,
                cwd=pathlib.Path(__file__).resolve().parents[2],
            )
        files = recordings(bids)
        if not files:
            sys.exit(f"{bids}: no sub-*/eeg/*_eeg.edf")
        raw_bytes = 0
        for path in files:
            raw_bytes += len(path.read_bytes())
        # An EDF sample has two bytes, a recording in float32 four.
        f32 = max(path.stat().st_size for path in files) * 2

        ours, theirs, version = [], [], "?"
        for turn in range(args.rounds):
            lake, out = scratch / "lake", scratch / "mne"
            for folder in (lake, out):
                shutil.rmtree(folder, ignore_errors=True)
            out.mkdir()
            ours.append(measure([binary, "--lake", lake, "ingest", "--bids", bids, "--threads", "1"]))
            result = measure([sys.executable, __file__, binary, "--worker", bids, out])
            report = json.loads(result[3].strip().splitlines()[-1])
            version = report["mne"]
            theirs.append((report["seconds"], result[1], report["cpu"]))
            print(f"round {turn + 1}: mmpipe {ours[-1][0]:.2f} s, MNE {theirs[-1][0]:.2f} s", flush=True)

        worst, median = compare(lake, out)
        mb = raw_bytes / 1e6
        our_s = statistics.median(r[0] for r in ours)
        mne_s = statistics.median(r[0] for r in theirs)
        our_cpu, mne_cpu = statistics.median(r[2] for r in ours), statistics.median(r[2] for r in theirs)
        our_mem, mne_mem = max(r[1] for r in ours), max(r[1] for r in theirs)
        limit = 1.5 * f32 + 200e6
        print(f"{len(files)} recordings, {mb:.0f} MB of EDF; MNE-Python {version}; medians of {args.rounds} rounds")
        print(f"mmpipe  {our_s:7.2f} s wall, {our_cpu:7.2f} s CPU, {mb / our_cpu:7.1f} MB a CPU-second, peak {our_mem / 1e6:6.0f} MB")
        print(f"MNE     {mne_s:7.2f} s wall, {mne_cpu:7.2f} s CPU (both without imports), {mb / mne_cpu:7.1f} MB a CPU-second, peak {mne_mem / 1e6:6.0f} MB")
        print(f"throughput ratio per core {mne_cpu / our_cpu:.2f} by CPU time, {mne_s / our_s:.2f} by wall time (wanted: at least 6)")
        print(f"peak memory {our_mem / 1e6:.0f} MB of {limit / 1e6:.0f} MB allowed (1.5 x recording in f32 + 200 MB)")
        print(f"z-scored samples, edges left out: largest difference {worst:.2e}, median {median:.2e}")


if __name__ == "__main__":
    main()
