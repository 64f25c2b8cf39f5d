"""PyTorch twin of the benchmark crates/models/benches/eegnet.rs: one training step of EEGNet
(forward, backward, a plain gradient step, max-norm), milliseconds, median of 30.

    pip install torch numpy
    RAYON_NUM_THREADS=2 cargo bench -p mmpipe-models --bench eegnet
    python tests/peers/eegnet_step.py --threads 2
"""

import argparse
import statistics
import time

import torch
import torch.nn as nn
import torch.nn.functional as F


class EEGNet(nn.Module):
    def __init__(self, channels, times, classes, kernel, f1=8, d=2, f2=16):
        super().__init__()
        n = f1 * d
        self.kernel = kernel
        self.conv_temporal = nn.Conv2d(1, f1, (1, kernel), bias=False)
        self.bnorm_temporal = nn.BatchNorm2d(f1, momentum=0.01, eps=1e-3)
        self.conv_spatial = nn.Conv2d(f1, n, (channels, 1), groups=f1, bias=False)
        self.bnorm_1 = nn.BatchNorm2d(n, momentum=0.01, eps=1e-3)
        self.conv_separable_depth = nn.Conv2d(n, n, (1, 16), groups=n, bias=False)
        self.conv_separable_point = nn.Conv2d(n, f2, 1, bias=False)
        self.bnorm_2 = nn.BatchNorm2d(f2, momentum=0.01, eps=1e-3)
        self.conv_classifier = nn.Conv2d(f2, classes, (1, times // 32))

    def forward(self, x):
        k = self.kernel
        x = self.bnorm_temporal(self.conv_temporal(F.pad(x.unsqueeze(1), ((k - 1) // 2, k // 2))))
        x = F.dropout(F.avg_pool2d(F.elu(self.bnorm_1(self.conv_spatial(x))), (1, 4)), 0.5, self.training)
        x = self.conv_separable_depth(F.pad(x, (7, 8)))
        x = F.avg_pool2d(F.elu(self.bnorm_2(self.conv_separable_point(x))), (1, 8))
        return self.conv_classifier(F.dropout(x, 0.5, self.training)).flatten(1)


def step(net, x):
    loss = net(x).square().mean()
    grads = torch.autograd.grad(loss, list(net.parameters()))
    with torch.no_grad():
        for p, g in zip(net.parameters(), grads):
            p -= 1e-4 * g
        for p, limit in ((net.conv_spatial.weight, 1.0), (net.conv_classifier.weight, 0.25)):
            p.copy_(torch.renorm(p, 2, 0, limit))
    return loss.item()


def median(f, n=30):
    for _ in range(5):
        f()
    times = []
    for _ in range(n):
        start = time.perf_counter()
        f()
        times.append(1e3 * (time.perf_counter() - start))
    return statistics.median(times)


parser = argparse.ArgumentParser()
parser.add_argument("--threads", type=int, default=2)
torch.set_num_threads(parser.parse_args().threads)
for b, c, t in ((64, 20, 400), (64, 64, 400)):
    net = EEGNet(c, t, 2, 100)
    x = torch.randn(b, c, t)
    print(f"torch {torch.__version__} step B={b} C={c} T={t}: {median(lambda: step(net.train(), x)):.1f} ms", end="")
    with torch.no_grad():
        print(f", forward {median(lambda: net.eval()(x)):.1f} ms")
