#!/usr/bin/env python3
"""The stage benchmarks of `mmpipe-trainer bench` in PyTorch eager: the same shapes, the same losses.

    pip install torch transformers
    python tests/gpu/peer.py [--device cuda] [--steps 20] [--precision f32,bf16] [--stage 1,2,3]

One training step (forward, backward, AdamW) of the base encoder on 64 channels of 2 s: stage 1 the joint
objective with 8192 codes (batch 64), stage 2 with wav2vec 2.0 of base size and CALRA over all pairs of the
batch (batch 32), stage 3 the classifier (batch 64). Nothing is dropped. bf16 is `torch.autocast`, weights
f32; attention is `scaled_dot_product_attention`, AdamW is `fused` on a GPU, both PyTorch's fastest eager
form; TF32 is off, as in mmpipe. Prints one JSON object. `--small` is for a machine without a GPU.
"""

import argparse
import json
import math
import statistics
import time

import torch
import torch.nn as nn
import torch.nn.functional as F

WARM, CLASSES, SPACE = 3, 4, 256
BASE = {"width": 200, "heads": 10, "hidden": 800, "depth": 12, "conv": 8, "channels": 64, "patches": 2, "codes": 8192}
SMALL = {"width": 100, "heads": 5, "hidden": 400, "depth": 4, "conv": 4, "channels": 4, "patches": 1, "codes": 16}


class Block(nn.Module):
    def __init__(self, c):
        super().__init__()
        w, self.heads = c["width"], c["heads"]
        self.norm1, self.norm2 = nn.LayerNorm(w, eps=1e-6), nn.LayerNorm(w, eps=1e-6)
        self.qkv = nn.Linear(w, 3 * w, bias=False)
        self.q_bias, self.v_bias = nn.Parameter(torch.zeros(w)), nn.Parameter(torch.zeros(w))
        self.q_norm, self.k_norm = (nn.LayerNorm(w // self.heads, eps=1e-6) for _ in range(2))
        self.proj, self.fc1, self.fc2 = nn.Linear(w, w), nn.Linear(w, c["hidden"]), nn.Linear(c["hidden"], w)
        self.gamma_1, self.gamma_2 = (nn.Parameter(torch.full((w,), 0.1)) for _ in range(2))

    def attend(self, x):
        b, n, w = x.shape
        bias = torch.cat([self.q_bias, torch.zeros_like(self.q_bias), self.v_bias])
        q, k, v = F.linear(x, self.qkv.weight, bias).reshape(b, n, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        # Layer norm gives f32 under autocast; attention wants one type.
        q, k = self.q_norm(q).to(v.dtype), self.k_norm(k).to(v.dtype)
        return self.proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(b, n, w))

    def forward(self, x):
        x = x + self.gamma_1 * self.attend(self.norm1(x))
        return x + self.gamma_2 * self.fc2(F.gelu(self.fc1(self.norm2(x))))


class Trunk(nn.Module):
    def __init__(self, c, depth):
        super().__init__()
        w = c["width"]
        table = lambda n: nn.Parameter(torch.randn(1, n, w) * 0.02)
        self.cls, self.pos, self.time = table(1), table(129), table(16)
        self.blocks = nn.ModuleList([Block(c) for _ in range(depth)])
        self.shape = (c["channels"], c["patches"])

    def forward(self, x):
        channels, patches = self.shape
        space = self.pos[0, torch.full((channels,), 64, device=x.device)].unsqueeze(1)
        x = x + (space + self.time[0, :patches]).flatten(0, 1)
        x = torch.cat([(self.cls + self.pos[:, :1]).expand(x.shape[0], -1, -1), x], 1)
        for block in self.blocks:
            x = block(x)
        return x[:, 1:]


class Patches(nn.Module):
    def __init__(self, c):
        super().__init__()
        n = c["conv"]
        self.convs = nn.ModuleList(
            [nn.Conv2d(1, n, (1, 15), stride=(1, 8), padding=(0, 7))]
            + [nn.Conv2d(n, n, (1, 3), padding=(0, 1)) for _ in range(2)]
        )
        self.norms = nn.ModuleList([nn.GroupNorm(4, n) for _ in range(3)])

    def forward(self, x):
        x = x.reshape(x.shape[0], 1, -1, 200)
        for conv, norm in zip(self.convs, self.norms):
            x = F.gelu(norm(conv(x)))
        return x.permute(0, 2, 3, 1).flatten(2)


class Encoder(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.patches, self.trunk = Patches(c), Trunk(c, c["depth"])
        self.norm = nn.LayerNorm(c["width"], eps=1e-6)

    def forward(self, x):
        return self.norm(self.trunk(self.patches(x)).mean(1))


def projection(n_in):
    return nn.Sequential(nn.Linear(n_in, SPACE), nn.GELU(), nn.LayerNorm(SPACE))


def tanh_head(width, out):
    return nn.Sequential(nn.Linear(width, width), nn.Tanh(), nn.Linear(width, out))


def standardise(x):
    return (x - x.mean((1, 2), keepdim=True)) / x.std((1, 2), keepdim=True)


class Joint(nn.Module):
    """Stage 1: codes, masked codes in two passes, spectra."""

    def __init__(self, c, batch):
        super().__init__()
        w, self.n_codes = c["width"], c["codes"]
        self.patches, self.trunk, self.decoder = Patches(c), Trunk(c, c["depth"]), Trunk(c, 3)
        self.norm, self.decoder_norm = nn.LayerNorm(w, eps=1e-6), nn.LayerNorm(w, eps=1e-6)
        self.mask_token = nn.Parameter(torch.randn(1, 1, w) * 0.02)
        self.to_code, self.from_code, self.head = nn.Linear(w, 64), nn.Linear(64, w), nn.Linear(w, self.n_codes)
        self.amplitude, self.phase = tanh_head(w, 200), tanh_head(w, 200)
        self.register_buffer("codes", F.normalize(torch.randn(self.n_codes, 64), dim=-1))
        self.register_buffer("x", torch.randn(batch, c["channels"], 200 * c["patches"]))

    @torch.no_grad()
    def assign(self, z):
        index = (2 * z @ self.codes.T - (self.codes**2).sum(1)).argmax(1)
        chosen = self.codes[index]
        bins = torch.bincount(index, minlength=self.n_codes)
        mean = F.normalize(torch.zeros_like(self.codes).index_add_(0, index, z) / bins.clamp(min=1)[:, None], dim=-1)
        mean = torch.where((bins == 0)[:, None], self.codes, mean)
        self.codes.copy_(F.normalize(0.99 * self.codes + 0.01 * mean, dim=-1))
        return chosen, index

    def forward(self):
        x = self.x
        patches = x.reshape(x.shape[0], -1, 200)
        b, n, _ = patches.shape
        with torch.autocast(x.device.type, enabled=False):
            # As mmpipe: nearest codes are found in f32.
            z = F.normalize(self.to_code(self.patches(x).float()).reshape(-1, 64), dim=-1)
            chosen, index = self.assign(z.detach())
        commitment = F.mse_loss(chosen, z)
        tokens = self.from_code(z + (chosen - z).detach()).reshape(b, n, -1)
        index = index.reshape(b, n)
        mask = torch.rand(b, n, device=x.device).argsort(1) >= n // 2
        masked = 0.0
        for hidden in (mask, ~mask):
            y = self.norm(self.trunk(torch.where(hidden.unsqueeze(-1), self.mask_token, tokens)))
            masked = masked + F.cross_entropy(self.head(y[hidden]).float(), index[hidden])
        y = self.decoder_norm(self.decoder(tokens))
        f = torch.fft.fft(patches)
        amplitude = self.amplitude(y) - standardise(f.abs())
        phase = self.phase(y) - standardise(torch.angle(f))
        spectra = (amplitude.float() ** 2).sum(2).mean() + ((phase.float() ** 2).sum(2) + 1e-12).sqrt().mean()
        return commitment + masked + spectra


class Calra(nn.Module):
    """The paper's form on pairs of vectors; one key a query, so attention is its value."""

    def __init__(self):
        super().__init__()
        for m in ("e", "a"):
            for part in ("q", "k", "v", "o"):
                setattr(self, m + part, nn.Linear(SPACE, SPACE))
            for i in "123":
                setattr(self, m + "norm" + i, nn.LayerNorm(SPACE))
            setattr(self, m + "ffn", nn.Sequential(nn.Linear(SPACE, 512), nn.GELU(), nn.Linear(512, SPACE)))
            setattr(self, m + "up", nn.Linear(SPACE, 128))
            setattr(self, m + "down", nn.Linear(128, SPACE))
        self.shared = nn.Sequential(nn.Linear(128, 128), nn.GELU())

    def refine(self, m, own, other):
        part = lambda p: getattr(self, m + p)
        split = lambda x: x.reshape(-1, 4, 1, SPACE // 4)
        y = F.scaled_dot_product_attention(split(part("q")(own)), split(part("k")(other)), split(part("v")(other)))
        x = part("norm1")(own + part("o")(y.reshape(-1, SPACE)))
        return part("norm2")(x + part("ffn")(x))

    def forward(self, e, a):
        he, ha = self.refine("e", e, a), self.refine("a", a, e)
        z = self.shared(self.eup(he) * self.aup(ha))
        return self.enorm3(he + self.edown(z)), self.anorm3(ha + self.adown(z))


class Contrast(nn.Module):
    """Stage 2: every EEG with every sound of the batch, each pair fused by itself."""

    def __init__(self, c, batch, small):
        super().__init__()
        from transformers import Wav2Vec2Config, Wav2Vec2Model

        shape = {}
        if small:
            shape = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48,
                     "conv_dim": [16] * 7, "num_conv_pos_embeddings": 16, "num_conv_pos_embedding_groups": 4}
        config = Wav2Vec2Config(
            hidden_dropout=0.0, attention_dropout=0.0, activation_dropout=0.0, feat_proj_dropout=0.0,
            layerdrop=0.0, apply_spec_augment=False, attn_implementation="sdpa", **shape,
        )
        self.encoder, self.sound = Encoder(c), Wav2Vec2Model(config)
        self.eeg_proj, self.audio_proj = projection(c["width"]), projection(config.hidden_size)
        self.fusion, self.scale = Calra(), nn.Parameter(torch.tensor(math.log(1 / 0.07)))
        self.register_buffer("x", torch.randn(batch, c["channels"], 200 * c["patches"]))
        self.register_buffer("waves", torch.randn(batch, 16000 * c["patches"]))

    def forward(self):
        b = self.x.shape[0]
        e = self.eeg_proj(self.encoder(self.x))
        a = self.audio_proj(self.sound(self.waves).last_hidden_state.mean(1))
        e, a = self.fusion(e.repeat_interleave(b, 0), a.repeat(b, 1))
        scores = F.cosine_similarity(e.float(), a.float()).reshape(b, b) * self.scale.exp()
        return F.cross_entropy(scores, torch.arange(b, device=scores.device))


class Classifier(nn.Module):
    """Stage 3."""

    def __init__(self, c, batch):
        super().__init__()
        self.encoder, self.proj = Encoder(c), projection(c["width"])
        self.head = nn.Sequential(nn.Linear(SPACE, 128), nn.GELU(), nn.Linear(128, CLASSES))
        self.register_buffer("x", torch.randn(batch, c["channels"], 200 * c["patches"]))
        self.register_buffer("labels", torch.arange(batch) % CLASSES)

    def forward(self):
        return F.cross_entropy(self.head(self.proj(self.encoder(self.x))).float(), self.labels)


def run(stage, precision, args):
    c = SMALL if args.small else BASE
    batch = 4 if args.small else (32 if stage == 2 else 64)
    net = {1: lambda: Joint(c, batch), 2: lambda: Contrast(c, batch, args.small), 3: lambda: Classifier(c, batch)}[stage]()
    net.to(args.device)
    gpu = args.device != "cpu"
    adamw = torch.optim.AdamW(net.parameters(), 1e-4, weight_decay=0.01, **({"fused": True} if gpu else {}))
    wait = torch.cuda.synchronize if gpu else lambda: None
    seconds = []
    for i in range(WARM + args.steps):
        wait()
        start = time.perf_counter()
        adamw.zero_grad()
        with torch.autocast(args.device.split(":")[0], torch.bfloat16, enabled=precision == "bf16"):
            loss = net()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        adamw.step()
        value = loss.item()
        wait()
        if i >= WARM:
            seconds.append(time.perf_counter() - start)
    median = statistics.median(seconds)
    return {
        "stage": stage, "precision": precision, "batch": batch, "channels": c["channels"], "patches": c["patches"],
        "seconds": seconds, "median_seconds": median, "samples_per_second": batch / median, "loss": value,
    }


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--precision", default="f32,bf16")
    parser.add_argument("--stage", default="1,2,3")
    parser.add_argument("--small", action="store_true")
    args = parser.parse_args()
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    torch.manual_seed(0)
    cases = [run(int(s), p, args) for s in args.stage.split(",") for p in args.precision.split(",")]
    name = torch.cuda.get_device_name() if args.device != "cpu" else "cpu"
    print(json.dumps({"torch": torch.__version__, "device": name, "benchmarks": cases}))


if __name__ == "__main__":
    main()
