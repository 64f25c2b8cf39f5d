"""Seeds the fuzz corpora from the real recordings: files of at most 300 kB, longer EDF files
cut after their header and a few records.

    python seed.py && cargo +nightly fuzz run edf -- -max_total_time=600
"""

import os
import shutil

HERE = os.path.dirname(os.path.abspath(__file__))
REAL = os.path.normpath(os.path.join(HERE, "../../../../shared/real"))
LIMIT = 300_000


def target(name):
    folder = os.path.join(HERE, "corpus", name)
    os.makedirs(folder, exist_ok=True)
    return folder


counts = {"edf": 0, "brainvision": 0, "audio": 0}
for folder, _, names in os.walk(REAL):
    for name in sorted(names):
        path = os.path.join(folder, name)
        extension = name.lower().rsplit(".", 1)[-1]
        flat = os.path.relpath(path, REAL).replace(os.sep, "__")
        if extension in ("edf", "bdf"):
            with open(path, "rb") as f, open(os.path.join(target("edf"), flat), "wb") as out:
                out.write(f.read(LIMIT))
            counts["edf"] += 1
        elif extension == "vhdr":
            marks = path[:-4] + "vmrk"
            with open(os.path.join(target("brainvision"), flat), "wb") as out:
                with open(path, "rb") as f:
                    out.write(f.read())
                if os.path.exists(marks):
                    with open(marks, "rb") as f:
                        out.write(b"\0" + f.read())
            counts["brainvision"] += 1
        elif extension in ("wav", "flac", "mp3", "ogg") and os.path.getsize(path) <= LIMIT:
            shutil.copyfile(path, os.path.join(target("audio"), flat))
            counts["audio"] += 1
print(counts)
