"""Seeds the fuzz corpora from the test fixtures.

    python seed.py && cargo +nightly fuzz run zip -- -max_total_time=600
"""

import os
import shutil

HERE = os.path.dirname(os.path.abspath(__file__))
FIXTURES = os.path.join(HERE, "../tests/fixtures")

for name in sorted(os.listdir(FIXTURES)):
    if name.endswith(".py"):
        continue
    target = os.path.join(HERE, "corpus", "zip" if name.endswith(".zip") else "tar_gz")
    os.makedirs(target, exist_ok=True)
    shutil.copy(os.path.join(FIXTURES, name), target)
