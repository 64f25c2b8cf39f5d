#!/usr/bin/env python3
"""Training steps of the EEG encoder, side by side in one run: mmpipe and PyTorch eager.

    pip install torch numpy
    cargo build --release -p mmpipe-train --example encoder_step
    python tests/peers/encoder_step.py [--threads 2] [--rounds 3] [--short] [--example target/release/examples/encoder_step]

The encoder with its head (12 blocks of width 200, 10 heads, hidden width 800; q/k norm, layer scale, no
dropout), f32: forward, backward, AdamW. Batch 32 x 128 tokens (64 channels x 2 s) and 32 x 512 tokens
(256 channels x 2 s), wanted 2.0 and 1.8 times PyTorch's speed, at 0.65 of its memory at most. The twin
below has PyTorch's fastest eager form: `scaled_dot_product_attention` and AdamW with `fused=True`; `eager` is
the published code's own attention (matmul, softmax, matmul) and AdamW as it comes. Each side of
a round is a process of its own, which alternate; the medians count, and the highest resident set
of the training steps. `--curve` prints how long a step takes from 8 to 255 channels of 2 s at batch 8.
`--products` prints how long PyTorch's matrix products alone need for the linear maps of a step: no
implementation on the same processor and library is faster, however little the rest of a step costs.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
EXAMPLE = os.path.join(HERE, "../../target/release/examples/encoder_step")
CASES = ((32, 64, 2, 5), (32, 256, 2, 3))
WIDTH, HEADS, HIDDEN, DEPTH = 200, 10, 800, 12


def twin(form, batch, channels, patches, steps):
    """One process of PyTorch; prints what the example prints."""
    import torch
    import torch.nn as nn
    import torch.nn.functional as F

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm1, self.norm2 = (nn.LayerNorm(WIDTH, eps=1e-6) for _ in range(2))
            self.qkv = nn.Linear(WIDTH, 3 * WIDTH, bias=False)
            self.q_bias, self.v_bias = (nn.Parameter(torch.zeros(WIDTH)) for _ in range(2))
            self.q_norm, self.k_norm = (nn.LayerNorm(WIDTH // HEADS, eps=1e-6) for _ in range(2))
            self.proj = nn.Linear(WIDTH, WIDTH)
            self.fc1, self.fc2 = nn.Linear(WIDTH, HIDDEN), nn.Linear(HIDDEN, WIDTH)
            self.gamma_1, self.gamma_2 = (nn.Parameter(torch.full((WIDTH,), 0.1)) for _ in range(2))

        def attend(self, x):
            b, n, _ = x.shape
            bias = torch.cat([self.q_bias, torch.zeros_like(self.q_bias), self.v_bias])
            q, k, v = F.linear(x, self.qkv.weight, bias).reshape(b, n, 3, HEADS, -1).permute(2, 0, 3, 1, 4)
            q, k = self.q_norm(q), self.k_norm(k)
            if form == "eager":
                p = (q * (WIDTH // HEADS) ** -0.5 @ k.transpose(-2, -1)).softmax(-1)
                y = p @ v
            else:
                y = F.scaled_dot_product_attention(q, k, v)
            return self.proj(y.transpose(1, 2).reshape(b, n, WIDTH))

        def forward(self, x):
            x = x + self.gamma_1 * self.attend(self.norm1(x))
            return x + self.gamma_2 * self.fc2(F.gelu(self.fc1(self.norm2(x))))

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.convs = nn.ModuleList(
                [nn.Conv2d(1, 8, (1, 15), stride=(1, 8), padding=(0, 7))]
                + [nn.Conv2d(8, 8, (1, 3), padding=(0, 1)) for _ in range(2)]
            )
            self.norms = nn.ModuleList([nn.GroupNorm(4, 8) for _ in range(3)])
            self.cls, self.pos = nn.Parameter(torch.zeros(1, 1, WIDTH)), nn.Parameter(torch.zeros(1, 129, WIDTH))
            self.time = nn.Parameter(torch.zeros(1, 16, WIDTH))
            self.blocks = nn.ModuleList([Block() for _ in range(DEPTH)])
            self.norm = nn.LayerNorm(WIDTH, eps=1e-6)
            self.proj = nn.Sequential(nn.Linear(WIDTH, 256), nn.GELU(), nn.LayerNorm(256))
            self.head = nn.Sequential(nn.Linear(256, 128), nn.GELU(), nn.Linear(128, 4))

        def forward(self, x):
            b, c, t = x.shape
            a = t // 200
            x = x.reshape(b, 1, c * a, 200)
            for conv, norm in zip(self.convs, self.norms):
                x = F.gelu(norm(conv(x)))
            x = x.permute(0, 2, 3, 1).flatten(2)
            rows = torch.full((c,), 64)
            x = x + (self.pos[0, rows].unsqueeze(1) + self.time[0, :a]).flatten(0, 1)
            x = torch.cat([(self.cls + self.pos[:, :1]).expand(b, -1, -1), x], 1)
            for block in self.blocks:
                x = block(x)
            return self.head(self.proj(self.norm(x[:, 1:].mean(1))))

    net = Net()
    adamw = torch.optim.AdamW(net.parameters(), 1e-4, **({} if form == "eager" else {"fused": True}))
    x = torch.randn(batch, channels, 200 * patches)
    step, forward = [], []
    for i in range(steps + 1):
        start = time.perf_counter()
        adamw.zero_grad()
        net(x).square().mean().backward()
        adamw.step()
        if i > 0:
            step.append(time.perf_counter() - start)
    with open("/proc/self/status") as f:
        peak = next(int(l.split()[1]) / 1024 for l in f if l.startswith("VmHWM:"))
    with torch.no_grad():
        for _ in range(steps):
            start = time.perf_counter()
            net(x)
            forward.append(time.perf_counter() - start)
    print(json.dumps({"step": step, "peak_mib": round(peak), "forward": forward, "torch": torch.__version__}))


def products(threads):
    """Seconds of the linear maps' products of a step of each case, by `torch.matmul` (best of five)."""
    import torch

    torch.set_num_threads(threads)
    for batch, channels, patches, _ in CASES:
        rows, total, flops = batch * (channels * patches + 1), 0.0, 0.0
        for n_in, n_out in ((WIDTH, 3 * WIDTH), (WIDTH, WIDTH), (WIDTH, HIDDEN), (HIDDEN, WIDTH)):
            x, w, g = torch.randn(rows, n_in), torch.randn(n_in, n_out), torch.randn(rows, n_out)
            # Forward, gradient of the input, gradient of the weight.
            for a, b in ((x, w), (g, w.t()), (x.t(), g)):
                times = []
                for _ in range(6):
                    start = time.perf_counter()
                    torch.matmul(a, b)
                    times.append(time.perf_counter() - start)
                total += DEPTH * min(times[1:])
                flops += DEPTH * 2 * rows * n_in * n_out
        print(f"batch {batch}, {channels * patches} tokens: products {total:.2f} s, {flops / total / 1e9:.0f} GFLOP/s")


def sides(example, threads):
    variables = ("RAYON_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
    # As the binary sets it.
    env = {**os.environ, **{k: str(threads) for k in variables}, "MIMALLOC_PURGE_DELAY": "10000"}
    call = lambda command, case: json.loads(subprocess.check_output([*command, *map(str, case)], env=env))
    own = [sys.executable, os.path.abspath(__file__), "--twin"]
    return {
        "mmpipe": lambda case: call([example], case),
        "PyTorch": lambda case: call([*own, "fused"], case),
        "eager": lambda case: call([*own, "eager"], case),
    }


def main():
    if len(sys.argv) > 1 and sys.argv[1] == "--twin":
        return twin(sys.argv[2], *map(int, sys.argv[3:]))
    parser = argparse.ArgumentParser()
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--example", default=EXAMPLE)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--short", action="store_true", help="128 tokens alone")
    parser.add_argument("--curve", action="store_true")
    parser.add_argument("--products", action="store_true")
    args = parser.parse_args()
    if args.products:
        return products(args.threads)
    runs = sides(args.example, args.threads)
    median = lambda found, what: statistics.median(s for f in found for s in f[what])
    if args.curve:
        for channels in (8, 16, 32, 64, 128, 255):
            found = runs["mmpipe"]((8, channels, 2, 5))
            s = median([found], "step")
            print(f"{channels} channels: {s:.3f} s a step of 8, {1e3 * s / channels / 16:.2f} ms a token of a batch")
        return
    for case in CASES[: 1 if args.short else None]:
        found = {side: [] for side in runs}
        for _ in range(args.rounds):
            for side, run in runs.items():
                found[side].append(run(case))
        step, forward = ({s: median(f, what) for s, f in found.items()} for what in ("step", "forward"))
        peak = {s: max(x["peak_mib"] for x in f) for s, f in found.items()}
        print(f"batch {case[0]}, {case[1] * case[2]} tokens, torch {found['PyTorch'][0]['torch']}, {args.threads} threads")
        for side in runs:
            print(
                f"  {side}: step {step[side]:.3f} s, forward {forward[side]:.3f} s, {peak[side]} MiB; mmpipe is "
                f"{step[side] / step['mmpipe']:.2f} and {forward[side] / forward['mmpipe']:.2f} times as fast, "
                f"with {peak['mmpipe'] / peak[side]:.2f} of the memory",
                flush=True,
            )


if __name__ == "__main__":
    main()
