"""Seeds the fuzz corpora from the tests' fixtures.

    python seed.py && cargo +nightly fuzz run wfdb -- -runs=1000000
"""

import os
import shutil

HERE = os.path.dirname(os.path.abspath(__file__))
FIXTURES = os.path.join(HERE, "../tests/fixtures")
TARGETS = {
    "wfdb": (".seizures", ".atr"),
    "textgrid": (".TextGrid",),
    "scoring": (".txt",),
    "summary": ("-summary.txt",),
    "tuh": (".rec", ".lab", "t001.csv", ".tse"),
    "xlsx": (".xlsx",),
    "yaml": (".yaml",),
    "tables": (".json", ".csv", ".txt"),
}

for target, endings in TARGETS.items():
    folder = os.path.join(HERE, "corpus", target)
    os.makedirs(folder, exist_ok=True)
    for name in sorted(os.listdir(FIXTURES)):
        if name.endswith(endings):
            shutil.copyfile(os.path.join(FIXTURES, name), os.path.join(folder, name))
