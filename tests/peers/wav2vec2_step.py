#!/usr/bin/env python3
"""wav2vec 2.0 base, side by side in one run: mmpipe, and Hugging Face's model in PyTorch eager.

    pip install torch transformers
    cargo build --release -p mmpipe-models --example wav2vec2_step
    python tests/peers/wav2vec2_step.py [--threads 2] [--example target/release/examples/wav2vec2_step]

Eight clips of 2 s at 16 kHz, f32, random weights, no dropout, no layer drop, no masking: forward, wanted
1.25 times PyTorch's speed, and forward with backward, wanted 1.1 times. `sdpa` is the model's faster
attention, which counts; `eager` its other. Each side of a round is a process of its own, which alternate;
the medians count.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
EXAMPLE = os.path.join(HERE, "../../target/release/examples/wav2vec2_step")
BATCH, SAMPLES, STEPS, ROUNDS = 8, 32_000, 5, 3


def twin(attention, batch, samples, steps):
    import torch
    from transformers import Wav2Vec2Config, Wav2Vec2Model

    config = Wav2Vec2Config(
        hidden_dropout=0.0, attention_dropout=0.0, activation_dropout=0.0, feat_proj_dropout=0.0,
        layerdrop=0.0, apply_spec_augment=False, attn_implementation=attention,
    )
    model = Wav2Vec2Model(config)
    x = torch.randn(batch, samples)
    forward, both = [], []
    model.eval()
    with torch.no_grad():
        for _ in range(steps + 1):
            start = time.perf_counter()
            model(x)
            forward.append(time.perf_counter() - start)
    model.train()
    for _ in range(steps + 1):
        model.zero_grad()
        start = time.perf_counter()
        model(x).last_hidden_state.square().mean().backward()
        both.append(time.perf_counter() - start)
    print(json.dumps({"forward": forward[1:], "both": both[1:], "torch": torch.__version__}))


def main():
    if len(sys.argv) > 1 and sys.argv[1] == "--twin":
        return twin(sys.argv[2], *map(int, sys.argv[3:]))
    parser = argparse.ArgumentParser()
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--example", default=EXAMPLE)
    args = parser.parse_args()
    variables = ("RAYON_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
    # The last as the binary sets it.
    env = {**os.environ, **{k: str(args.threads) for k in variables}, "MIMALLOC_PURGE_DELAY": "10000"}
    own = [sys.executable, os.path.abspath(__file__), "--twin"]
    sides = {"mmpipe": [args.example], "PyTorch, sdpa": [*own, "sdpa"], "PyTorch, eager": [*own, "eager"]}
    found = {side: [] for side in sides}
    for _ in range(ROUNDS):
        for side, command in sides.items():
            command = [*command, *map(str, (BATCH, SAMPLES, STEPS))]
            found[side].append(json.loads(subprocess.check_output(command, env=env)))
    median = lambda side, what: statistics.median(s for f in found[side] for s in f[what])
    ours = {what: median("mmpipe", what) for what in ("forward", "both")}
    print(f"torch {found['PyTorch, sdpa'][0]['torch']}, {args.threads} threads, {BATCH} x {SAMPLES} samples")
    for side in sides:
        f, b = median(side, "forward"), median(side, "both")
        print(
            f"  {side}: forward {f:.3f} s, with backward {b:.3f} s; mmpipe is "
            f"{f / ours['forward']:.2f} and {b / ours['both']:.2f} times as fast"
        )


if __name__ == "__main__":
    main()
