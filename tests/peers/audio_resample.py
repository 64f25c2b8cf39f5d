"""44.1 kHz stereo WAV to 16 kHz mono, side by side in one run on one core: mmpipe against
soundfile + soxr (quality HQ).

    pip install numpy soundfile soxr
    cargo build --release -p mmpipe-signal --example sound
    python tests/peers/audio_resample.py [target/release/examples/sound]

Ten minutes of noise and tones in a temporary folder, read once before anything is timed (warm
cache), as 16, 24 and 32 bits and 32-bit float. Both sides take the mean of the channels and then
resample, on one thread; rounds alternate, seconds are those of the processor (a busy machine
disturbs them less than the clock), and the best of each side counts. The results are compared as
well: the same length, and how far they differ below 7 kHz.
"""

import json
import os
import subprocess
import sys
import tempfile
import time

import numpy as np
import soundfile
import soxr

SFREQ, SECONDS, ROUNDS = 44100, 600, 7


def sound(rng):
    t = np.arange(SFREQ * SECONDS) / SFREQ
    x = np.stack([np.sin(2 * np.pi * hz * t) for hz in (440, 3000)], 1)
    return (0.3 * x + 0.1 * rng.standard_normal(x.shape)).astype(np.float32)


def peer(path):
    start = time.thread_time()
    x, sfreq = soundfile.read(path, dtype="float32", always_2d=True)
    decoded = time.thread_time()
    y = soxr.resample(x.mean(axis=1), sfreq, 16000, quality="HQ")
    return decoded - start, time.thread_time() - start, y


def below(x, hz):
    spectrum = np.fft.rfft(x.astype(np.float64))
    spectrum[np.fft.rfftfreq(len(x), 1 / 16000) > hz] = 0
    return np.fft.irfft(spectrum, len(x))


def main():
    binary = sys.argv[1] if len(sys.argv) > 1 else "target/release/examples/sound"
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    print(f"soundfile {soundfile.__version__}, soxr {soxr.__version__}; {SECONDS} s of stereo at {SFREQ} Hz")
    with tempfile.TemporaryDirectory() as folder:
        x = sound(np.random.default_rng(0))
        for subtype in ("PCM_16", "PCM_24", "PCM_32", "FLOAT"):
            path, out = f"{folder}/{subtype}.wav", f"{folder}/out.f32"
            soundfile.write(path, x, SFREQ, subtype=subtype)
            ours, theirs = [np.inf, np.inf], [np.inf, np.inf]
            for _ in range(ROUNDS):
                found = json.loads(subprocess.check_output([binary, path, "1", out]))
                ours = [min(ours[0], found["decode"]), min(ours[1], found["decode_and_resample"])]
                decoded, both, y = peer(path)
                theirs = [min(theirs[0], decoded), min(theirs[1], both)]
            mine = np.fromfile(out, "<f4")
            assert abs(len(mine) - len(y)) <= 1, (len(mine), len(y))
            n = min(len(mine), len(y))
            # The ends lean on what each takes for the sound before and after.
            difference = (below(mine[:n], 7000) - below(y[:n], 7000))[800:-800]
            db = 20 * np.log10(np.sqrt(np.mean(difference**2) / np.mean(below(y[:n], 7000) ** 2)))
            print(
                f"{subtype:7s} decode {ours[0] * 1e3:7.1f} ms against {theirs[0] * 1e3:7.1f} ms; "
                f"decode and resample {ours[1] * 1e3:7.1f} against {theirs[1] * 1e3:7.1f} ms: "
                f"{theirs[1] / ours[1]:.2f} times as fast, {SECONDS / ours[1]:.0f} times real time; "
                f"difference {db:.0f} dB"
            )


if __name__ == "__main__":
    main()
