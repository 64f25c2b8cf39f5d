"""SciPy on the same work as examples/throughput.rs, one thread: best of 12 runs.

    pip install numpy scipy
    OMP_NUM_THREADS=1 python3 scipy_condition.py
"""
import time

import numpy as np
import scipy.signal as ss

fs = 512
n = 60 * fs
x = np.random.default_rng(0).standard_normal((8, n))
sos = ss.butter(4, [1, 40], "bandpass", fs=fs, output="sos")
best = [np.inf, np.inf]
for _ in range(12):
    start = time.perf_counter()
    y = ss.sosfiltfilt(sos, x)
    middle = time.perf_counter()
    ss.resample_poly(y, 25, 64, axis=-1)
    best = [min(best[0], middle - start), min(best[1], time.perf_counter() - middle)]
print("ns a sample: sosfiltfilt %.1f, resample_poly %.1f; %.0f MB/s of f32 input"
      % (best[0] / x.size * 1e9, best[1] / x.size * 1e9, x.size * 4 / sum(best) / 1e6))
