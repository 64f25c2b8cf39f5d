"""Peak memory of ingesting recordings that are far longer than what is held of them.

    python tests/peers/ingest_memory.py target/release/mmpipe [SCRATCH_FOLDER]

Writes two BIDS folders of noise (needs numpy, some 11 GB of disk): a night of 24 h, 20 channels,
256 Hz as EDF, and 2 h 05 min of 34 channels at 10 kHz as BrainVision, 32-bit floats (the shape of
ds004356). Ingests each once and prints the peak resident memory of the process and its time.
"""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

import numpy as np

NAMES = (
    "Fp1 Fz F3 F7 FT9 FC5 FC1 C3 T7 TP9 CP5 CP1 Pz P3 P7 O1 Oz O2 P4 P8 TP10 CP6 CP2 Cz C4 T8 "
    "FT10 FC6 FC2 F4 F8 Fp2 EP1 EP2"
).split()


def bids(folder, name):
    eeg = folder / "sub-01" / "eeg"
    eeg.mkdir(parents=True)
    about = {"Name": name, "BIDSVersion": "1.7.0"}
    (folder / "dataset_description.json").write_text(json.dumps(about))
    return eeg / "sub-01_task-noise_eeg"


def edf(folder, seconds, sfreq, n):
    """A plain EDF file of one-second records."""
    path = bids(folder, "night").with_suffix(".edf")
    rng = np.random.default_rng(0)
    with open(path, "wb") as out:

        def field(text, width):
            out.write(str(text).ljust(width)[:width].encode())

        for text, width in [
            ("0", 8), ("X X X X", 80), ("Startdate X X X X", 80), ("01.01.20", 8),
            ("22.00.00", 8), (256 * (n + 1), 8), ("", 44), (seconds, 8), (1, 8), (n, 4),
        ]:
            field(text, width)
        for values, width in [
            (NAMES[:n], 16), ([""] * n, 80), (["uV"] * n, 8), ([-500] * n, 8), ([500] * n, 8),
            ([-32768] * n, 8), ([32767] * n, 8), ([""] * n, 80), ([sfreq] * n, 8), ([""] * n, 32),
        ]:
            for value in values:
                field(value, width)
        block = 600
        for _ in range(0, seconds, block):
            out.write(rng.integers(-2000, 2000, (block, n, sfreq), dtype="<i2").tobytes())


def brainvision(folder, seconds, sfreq, n):
    path = bids(folder, "fast")
    rng = np.random.default_rng(0)
    with open(path.with_suffix(".eeg"), "wb") as out:
        for _ in range(seconds):
            out.write((20 * rng.standard_normal((sfreq, n), dtype="<f4")).tobytes())
    channels = "".join(f"Ch{k + 1}={name},,1,µV\n" for k, name in enumerate(NAMES[:n]))
    path.with_suffix(".vhdr").write_text(
        "Brain Vision Data Exchange Header File Version 1.0\n\n[Common Infos]\nCodepage=UTF-8\n"
        f"DataFile={path.name}.eeg\nDataFormat=BINARY\nDataOrientation=MULTIPLEXED\n"
        f"NumberOfChannels={n}\nSamplingInterval={1e6 / sfreq}\n\n[Binary Infos]\n"
        f"BinaryFormat=IEEE_FLOAT_32\n\n[Channel Infos]\n{channels}",
        encoding="utf-8",
    )


def ingest(program, raw, lake):
    begin = time.perf_counter()
    process = subprocess.Popen(
        [program, "--lake", lake, "-q", "ingest", "--bids", raw],
        stdout=subprocess.DEVNULL,
    )
    _, status, used = os.wait4(process.pid, 0)
    if status != 0:
        sys.exit(f"the ingest of {raw} ended with {status}")
    return used.ru_maxrss / 1024, time.perf_counter() - begin


def main():
    program = pathlib.Path(sys.argv[1]).resolve()
    scratch = pathlib.Path(sys.argv[2] if len(sys.argv) > 2 else tempfile.mkdtemp())
    for what, write, shape in [
        ("EDF 24 h x 20 channels x 256 Hz", edf, (86_400, 256, 20)),
        ("BrainVision 2 h 05 min x 34 channels x 10 kHz", brainvision, (7_500, 10_000, 34)),
    ]:
        raw, lake = scratch / "raw", scratch / "lake"
        raw.mkdir(parents=True)
        write(raw, *shape)
        size = sum(f.stat().st_size for f in raw.rglob("*") if f.is_file())
        peak, seconds = ingest(program, raw, lake)
        print(f"{what}: {size / 1e6:.0f} MB read, peak {peak:.0f} MiB, {seconds:.1f} s")
        shutil.rmtree(raw)
        shutil.rmtree(lake)


if __name__ == "__main__":
    main()
