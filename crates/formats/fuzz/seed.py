"""Seeds the fuzz corpora from the fixtures of the tests and the real recordings. Recordings are
cut after their header and a few records, so that the fuzzer runs thousands of them a second.

    python seed.py
    RUSTC_BOOTSTRAP=1 cargo fuzz run -s none edf -- -runs=1000000 -max_len=8192
"""

import os

HERE = os.path.dirname(os.path.abspath(__file__))
REAL = os.path.normpath(os.path.join(HERE, "../../../../shared/real"))
FIXTURES = os.path.normpath(os.path.join(HERE, "../tests/fixtures"))
LIMIT = 8_192
SOUND_LIMIT = 40_000
SET_LIMIT = 30_000


def read(path, limit=-1):
    if not os.path.exists(path):
        return b""
    with open(path, "rb") as f:
        return f.read(limit)


def put(target, name, content):
    folder = os.path.join(HERE, "corpus", target)
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, name.replace(os.sep, "__").replace(" ", "_")), "wb") as f:
        f.write(content)
    counts[target] = counts.get(target, 0) + 1


counts = {}
for root in (FIXTURES, REAL):
    for folder, _, names in os.walk(root):
        for name in sorted(names):
            path = os.path.join(folder, name)
            flat = os.path.relpath(path, root)
            extension = name.lower().rsplit(".", 1)[-1]
            if extension in ("edf", "bdf"):
                put("edf", flat, read(path, LIMIT))
            elif extension == "gdf":
                put("gdf", flat, read(path, LIMIT))
            elif extension == "vhdr":
                put("brainvision", flat, read(path) + b"\0" + read(path[:-4] + "vmrk"))
            elif extension == "dpa":
                events = read(path[:-3] + "ceo") or read(path[:-3] + "cef")
                put("curry", flat, read(path) + b"\0" + events)
            elif extension == "set" and os.path.getsize(path) <= SET_LIMIT:
                # A cut tree has no way in, so only small ones, whole.
                put("eeglab", flat, read(path))
            elif extension in ("wav", "flac", "mp3", "ogg"):
                put("audio", flat, read(path, SOUND_LIMIT))
print(counts)
