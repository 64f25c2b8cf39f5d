"""EDF decoding, side by side in one run on one core: mmpipe, NumPy on a memory map, edf-rs.

    pip install numpy
    cargo build --release -p mmpipe-formats --example edf_decode
    python tests/peers/edf_decode.py [target/release/examples/edf_decode]

The file is 64 channels x 512 Hz x 10 min, 16 bits, records of 1 s, written to a temporary
folder and read once before anything is timed (warm cache). Every reader turns all of it into
calibrated float32, one row a channel. Best of the repeats. GB/s of input count the bytes of
the file, GB/s of output the float32 made from them (twice as many).
"""

import json
import os
import subprocess
import sys
import tempfile
import time

import numpy as np

CHANNELS, SFREQ, SECONDS, REPEATS = 64, 512, 600, 40


def header():
    n = CHANNELS
    cell = lambda text, width: str(text).ljust(width).encode("ascii")
    out = cell("0", 8) + cell("X X X X", 80) + cell("Startdate X X X X", 80)
    out += cell("01.01.00", 8) + cell("00.00.00", 8) + cell(256 * (n + 1), 8) + cell("", 44)
    out += cell(SECONDS, 8) + cell(1, 8) + cell(n, 4)
    out += b"".join(cell(f"E{i}", 16) for i in range(n)) + cell("", 80) * n + cell("uV", 8) * n
    out += b"".join(cell(f"-{100 + i}.5", 8) for i in range(n))
    out += b"".join(cell(f"{100 + i}.5", 8) for i in range(n))
    out += cell(-32768, 8) * n + cell(32767, 8) * n + cell("", 80) * n + cell(SFREQ, 8) * n
    return out + cell("", 32) * n


def mapping(path):
    return np.memmap(path, "<i2", "r", 256 * (CHANNELS + 1)).reshape(SECONDS, CHANNELS, SFREQ)


def numpy_decode(mapped, out):
    """Row by row, the ufuncs writing in place."""
    for c in range(CHANNELS):
        gain = 2 * (100.5 + c) / 65535
        offset = -(100.5 + c) + 32768 * gain
        row = out[c].reshape(SECONDS, SFREQ)
        np.multiply(mapped[:, c], np.float32(gain), out=row, dtype=np.float32, casting="unsafe")
        row += np.float32(offset)


def numpy_decode_whole(mapped, out):
    """All at once, the transposition done by strides."""
    half = 100.5 + np.arange(CHANNELS)
    gain = (2 * half / 65535).astype(np.float32)[:, None]
    offset = (-half + 32768 * 2 * half / 65535).astype(np.float32)[:, None]
    view = out.reshape(CHANNELS, SECONDS, SFREQ).swapaxes(0, 1)
    np.multiply(mapped, gain, out=view, dtype=np.float32, casting="unsafe")
    view += offset


def best(work):
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def main():
    binary = sys.argv[1] if len(sys.argv) > 1 else "target/release/examples/edf_decode"
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "x.edf")
        rng = np.random.default_rng(0)
        with open(path, "wb") as f:
            f.write(header())
            for _ in range(SECONDS):
                f.write(rng.integers(-32768, 32768, CHANNELS * SFREQ, "<i2").tobytes())
        size = os.path.getsize(path)
        out = np.empty((CHANNELS, SECONDS * SFREQ), np.float32)
        mapped = mapping(path)
        decode = min((numpy_decode, numpy_decode_whole), key=lambda f: best(lambda: f(mapped, out)))
        touched = best(lambda: decode(mapped, out))
        opened = best(lambda: decode(mapping(path), out))
        fresh = best(lambda: decode(mapping(path), np.empty_like(out)))
        decode(mapped, out)
        ours = json.loads(subprocess.check_output([binary, path, str(REPEATS)]))
        total = float(out.sum(dtype=np.float64))
        scale = float(np.abs(out).sum(dtype=np.float64))
        assert abs(total - ours["sum"]) < 1e-6 * scale, (total, ours["sum"])
        print(f"{size / 1e6:.1f} MB of EDF, {out.nbytes / 1e6:.1f} MB of float32, one core, warm cache")
        print("| reader | s | GB/s in | GB/s out | speed, NumPy = 1 |")
        print("|---|---|---|---|---|")
        for name, seconds, base in [
            ("mmpipe, map and buffers touched before", ours["warm_s"], touched),
            ("NumPy, the same", touched, touched),
            ("mmpipe, open + decode, buffers touched before", ours["opened_s"], opened),
            ("NumPy, the same", opened, opened),
            ("mmpipe, open + decode into new buffers", ours["fresh_s"], fresh),
            ("NumPy, the same", fresh, fresh),
            ("edf-rs 0.2.0, open + decode into new buffers", ours["edf_rs_s"], fresh),
        ]:
            print(
                f"| {name} | {seconds:.4f} | {size / seconds / 1e9:.2f} "
                f"| {out.nbytes / seconds / 1e9:.2f} | {base / seconds:.2f} |"
            )
        print(f"edf-rs takes {ours['edf_rs_s'] / ours['fresh_s']:.1f} times as long as mmpipe")


if __name__ == "__main__":
    main()
