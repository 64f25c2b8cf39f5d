"""Unpacking zip and tar.gz, side by side in one run: mmpipe, Python's zipfile and tarfile.

    cargo build --release -p mmpipe-archives --example unpack
    python tests/peers/archive_unpack.py [target/release/examples/unpack]

Two archives of the same 24 files of 8 MB (16-bit random walks, as an EEG recording packs) and
600 of 4 kB, deflated by Python at level 6. Each side unpacks all of it to an empty folder on the
same disk and checks every CRC-32; the archives are in the page cache. mmpipe also syncs every
file to the disk before it gets its name, which Python does not: `python+fsync` does the same.
Best of the repeats, the order alternating. On a slow disk this measures the disk; with TMPDIR on one
that is memory (/dev/shm) it measures unpacking.

A tar.gz is one stream, which one core inflates, so an ingest unpacks several archives at a time:
`two archives` is two processes of mmpipe at once, against Python with one archive after the other.
"""

import json
import os
import random
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile

LARGE, LARGE_BYTES, SMALL, SMALL_BYTES, REPEATS = 24, 8 << 20, 600, 4096, 3


def walk(rng, size):
    """A random walk in 16 bits, 256 kB of it repeated with a changing low byte."""
    import array

    out, value = array.array("h"), 0
    for _ in range(1 << 17):
        value = max(-30000, min(30000, value + rng.randint(-40, 40)))
        out.append(value)
    piece = out.tobytes()
    parts = []
    for i in range(0, size, len(piece)):
        table = bytes((b + i // len(piece)) & 0xFF for b in range(256))
        parts.append(piece.translate(table))
    return b"".join(parts)[:size]


def make(folder):
    rng = random.Random(1)
    files = [(f"sub/S{i:03}.dat", walk(rng, LARGE_BYTES)) for i in range(LARGE)]
    base = files[0][1]
    files += [(f"events/e{i:04}.tsv", base[i * 512 : i * 512 + SMALL_BYTES]) for i in range(SMALL)]
    raw = os.path.join(folder, "raw")
    for name, data in files:
        path = os.path.join(raw, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as f:
            f.write(data)
    zipped, tarred = os.path.join(folder, "x.zip"), os.path.join(folder, "x.tar.gz")
    with zipfile.ZipFile(zipped, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as z:
        for name, _ in files:
            z.write(os.path.join(raw, name), name)
    with tarfile.open(tarred, "w:gz", compresslevel=6) as t:
        t.add(raw, ".")
    return raw, zipped, tarred


def python(path, into):
    start = time.perf_counter()
    if path.endswith(".zip"):
        with zipfile.ZipFile(path) as z:
            z.extractall(into)
    else:
        with tarfile.open(path) as t:
            t.extractall(into, filter="data")
    return time.perf_counter() - start


def python_synced(path, into):
    start = time.perf_counter()
    python(path, into)
    for folder, _, names in os.walk(into):
        for name in names:
            with open(os.path.join(folder, name), "rb") as f:
                os.fsync(f.fileno())
    return time.perf_counter() - start


def main():
    binary = sys.argv[1] if len(sys.argv) > 1 else "target/release/examples/unpack"

    def ours(threads):
        def run(path, into):
            made = subprocess.run([binary, path, into, threads], check=True, capture_output=True)
            return float(made.stdout)

        return run

    def ours_twice(path, into):
        """Seconds of the slower of two."""
        two = [os.path.join(into, name) for name in "ab"]
        os.mkdir(into)
        running = [subprocess.Popen([binary, path, t, "0"], stdout=subprocess.PIPE) for t in two]
        return max(float(p.communicate()[0]) for p in running)

    def python_twice(path, into):
        return sum(python(path, os.path.join(into, name)) for name in "ab")

    sides = {"python": python, "python+fsync": python_synced, "mmpipe 1": ours("1"), "mmpipe": ours("0")}
    twice = {"python": python_twice, "mmpipe": ours_twice}
    with tempfile.TemporaryDirectory() as folder:
        raw, *archives = make(folder)
        total = sum(os.path.getsize(os.path.join(d, n)) for d, _, ns in os.walk(raw) for n in ns)
        for path in archives:
            best = dict.fromkeys(sides, float("inf"))
            for repeat in range(REPEATS):
                order = list(sides) if repeat % 2 == 0 else list(sides)[::-1]
                for side in order:
                    into = os.path.join(folder, "out")
                    best[side] = min(best[side], sides[side](path, into))
                    if side.startswith("mmpipe") and repeat == 0:
                        for name in (".unpacked.json", ".unpacked.lock"):
                            os.remove(os.path.join(into, name))
                        subprocess.run(["diff", "-r", raw, into], check=True)
                    shutil.rmtree(into)
                    os.sync()
            best_of_two = dict.fromkeys(twice, float("inf"))
            for repeat in range(REPEATS):
                for side in twice:
                    into = os.path.join(folder, "out")
                    best_of_two[side] = min(best_of_two[side], twice[side](path, into))
                    shutil.rmtree(into)
                    os.sync()
            print(json.dumps({
                "archive": os.path.basename(path),
                "packed_MB": round(os.path.getsize(path) / 1e6, 1),
                "unpacked_MB": round(total / 1e6, 1),
                "MB_per_s": {s: round(total / 1e6 / t) for s, t in best.items()},
                "times_python": round(best["python"] / best["mmpipe"], 2),
                "times_python_two_archives": round(best_of_two["python"] / best_of_two["mmpipe"], 2),
                "times_python_synced": round(best["python+fsync"] / best["mmpipe"], 2),
            }))


main()
