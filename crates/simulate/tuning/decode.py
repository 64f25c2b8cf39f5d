"""What decoders reach on the two-talker corpus, independent of mmpipe: NumPy, SciPy, PyTorch.

    cargo run --release -p mmpipe-simulate --example two_talker -- /tmp/two-talker
    python crates/simulate/tuning/decode.py /tmp/two-talker [--network] [--epochs 60] [--seeds 2]

Prints balanced accuracy, mean over folds (and each fold), for windows shuffled within subject
and for whole trials kept apart (both 5 folds, all subjects in one model):
  covariance  logistic regression on the log covariance of the 16 channels, EEG only
  eegnet      EEGNet (Lawhern et al. 2018; F1 8, D 2, kernel 0.5 s), EEG only, with --network
  ridge       backward model, lags 0 to 400 ms, correlation with both envelopes on each window
  aadnet      AADNet (as in github.com/babibo180918/AADNet), EEG against both envelopes, with --network
Preprocessing is the `mindmix` recipe: sosfiltfilt(butter(4, 1-40 Hz)), resample_poly to 200 Hz,
2-s epochs from the trial's start, z-score per channel and epoch.
"""

import argparse
import csv
import pathlib
import wave
from fractions import Fraction

import numpy as np
from scipy.signal import butter, resample_poly, sosfiltfilt


def read_edf(path):
    """Names, rate and µV of a file with records of one second (header as in the EDF standard)."""
    raw = pathlib.Path(path).read_bytes()
    n = int(raw[252:256])
    at, fields = 256, []
    for width in (16, 80, 8, 8, 8, 8, 8, 80, 8, 32):
        fields.append([raw[at + i * width : at + (i + 1) * width].decode().strip() for i in range(n)])
        at += n * width
    count = [int(v) for v in fields[8]]
    data = np.frombuffer(raw, "<i2", offset=at).reshape(-1, sum(count))
    out, start = {}, 0
    for i, name in enumerate(fields[0]):
        block = data[:, start : start + count[i]].ravel().astype(float)
        start += count[i]
        if name == "EDF Annotations":
            continue
        pmin, pmax, dmin, dmax = (float(fields[k][i]) for k in (3, 4, 5, 6))
        out[name] = ((block - dmin) * (pmax - pmin) / (dmax - dmin) + pmin, count[i])
    return out


def envelope(path, rate):
    with wave.open(str(path)) as f:
        fs = f.getframerate()
        x = np.frombuffer(f.readframes(f.getnframes()), "<i2") / 32768.0
    x = np.abs(x) ** 0.6
    sos = butter(2, 20, "low", fs=fs, output="sos")
    ratio = Fraction(int(rate), int(fs))
    return resample_poly(sosfiltfilt(sos, x), ratio.numerator, ratio.denominator)


def load(root, rate=200):
    rows, eeg, envs, cache = [], [], [], {}
    eeg_sos = None
    for subject, folder in enumerate(sorted(pathlib.Path(root).glob("sub-*/eeg"))):
        chans = read_edf(next(folder.glob("*_eeg.edf")))
        with open(next(folder.glob("*_channels.tsv"))) as f:
            names = [r["name"] for r in csv.DictReader(f, delimiter="\t") if r["type"] == "EEG"]
        fs = chans[names[0]][1]
        x = np.stack([chans[n][0] for n in names])
        x = sosfiltfilt(butter(4, [1, 40], "bandpass", fs=fs, output="sos"), x, axis=1)
        ratio = Fraction(rate, fs)
        x = resample_poly(x, ratio.numerator, ratio.denominator, axis=1)
        with open(next(folder.glob("*_events.tsv"))) as f:
            events = list(csv.DictReader(f, delimiter="\t"))
        for event in events:
            start = int(round(float(event["onset"]) * rate))
            pair = []
            for role in ("attended", "unattended"):
                if event[role] not in cache:
                    cache[event[role]] = envelope(pathlib.Path(root) / event[role], rate)
                skip = int(float(event[role + "_onset"]) * rate)
                pair.append(cache[event[role]][skip:])
            for k in range(int(float(event["duration"]) // 2)):
                a, b = start + 2 * k * rate, start + 2 * (k + 1) * rate
                w = x[:, a:b]
                eeg.append((w - w.mean(1, keepdims=True)) / w.std(1, keepdims=True))
                envs.append([p[2 * k * rate : 2 * (k + 1) * rate] for p in pair])
                label = int(event["trial_type"] == "attend_right")
                rows.append((subject, int(event["trial"]), label))
    return np.array(eeg, "float32"), np.array(envs, "float32"), np.array(rows)


def folds(rows, protocol, rng, k=5):
    """Fold of each window, within each subject; trials stratified by side."""
    out = np.zeros(len(rows), int)
    for s in np.unique(rows[:, 0]):
        mine = np.flatnonzero(rows[:, 0] == s)
        if protocol == "shuffled":
            out[mine] = rng.permutation(len(mine)) % k
        else:
            offset = 0
            for side in (0, 1):
                trials = np.unique(rows[mine][rows[mine][:, 2] == side][:, 1])
                rng.shuffle(trials)
                for i, t in enumerate(trials):
                    out[mine[rows[mine][:, 1] == t]] = (i + offset) % k
                offset += len(trials)
    return out


def balanced(y, p):
    return np.mean([np.mean(p[y == c] == c) for c in np.unique(y)])


def log_covariance(x):
    c = x @ x.transpose(0, 2, 1) / x.shape[2]
    c += 1e-3 * np.eye(c.shape[1])
    w, v = np.linalg.eigh(c)
    logc = (v * np.log(w)[:, None]) @ v.transpose(0, 2, 1)
    i, j = np.triu_indices(c.shape[1])
    return logc[:, i, j]


def logistic(x, y, x_test, l2=1e-2, steps=60):
    """L2-regularised logistic regression by Newton's method on standardised features."""
    m, s = x.mean(0), x.std(0) + 1e-9
    x, x_test = (x - m) / s, (x_test - m) / s
    x = np.c_[x, np.ones(len(x))]
    x_test = np.c_[x_test, np.ones(len(x_test))]
    w = np.zeros(x.shape[1])
    for _ in range(steps):
        p = 1 / (1 + np.exp(-np.clip(x @ w, -30, 30)))
        g = x.T @ (p - y) / len(y) + l2 * w
        h = (x * (p * (1 - p))[:, None]).T @ x / len(y) + l2 * np.eye(len(w))
        step = np.linalg.solve(h, g)
        w -= step
        if np.abs(step).max() < 1e-6:
            break
    return (x_test @ w > 0).astype(int)


def covariance_fold(x, rows, train, test):
    f = log_covariance(x)
    # One model a subject, as in the papers' within-subject protocol.
    p = np.zeros(len(rows), int)
    for s in np.unique(rows[:, 0]):
        a, b = train & (rows[:, 0] == s), test & (rows[:, 0] == s)
        p[b] = logistic(f[a], rows[a, 2], f[b])
    return p[test]


def ridge_fold(x, envs, rows, train, test, rate=200, step=4, l2=1e2):
    """Stimulus reconstruction at 50 Hz; the window's winner has the higher correlation."""
    sos = butter(2, 9, "low", fs=rate, output="sos")
    low = sosfiltfilt(sos, x, axis=2)[:, :, ::step]
    env = envs[:, :, ::step] - envs[:, :, ::step].mean(2, keepdims=True)
    lags = int(0.4 * rate / step)
    n, c, t = low.shape
    pad = np.concatenate([low, np.zeros((n, c, lags), low.dtype)], 2)
    design = np.stack([pad[:, :, k : k + t] for k in range(lags)], 2).reshape(n, c * lags, t)
    a = design[train].transpose(0, 2, 1).reshape(-1, c * lags)
    y = env[train, 0].ravel()
    w = np.linalg.solve(a.T @ a + l2 * np.eye(a.shape[1]), a.T @ y)
    r = np.einsum("nft,f->nt", design[test], w)
    r -= r.mean(1, keepdims=True)
    score = (env[test] * r[:, None]).sum(2) / np.linalg.norm(env[test], axis=2)
    return (score[:, 0] > score[:, 1]).mean()


def eegnet_fold(x, rows, train, test, seed, epochs, lr=3e-3, batch=32, dropout=0.25, device="cpu", quiet=True):
    import torch
    from torch import nn

    torch.manual_seed(seed)
    torch.set_num_threads(1)
    c, t = x.shape[1:]

    # Two steps make it cheap without changing what it can do. The recipe leaves nothing above
    # 40 Hz, so every second sample is enough. The spatial filters come before the temporal ones:
    # both are linear and nothing but a scale stands between them, so they commute.
    x = np.ascontiguousarray(x[:, :, ::2])
    t, taps = t // 2, 50

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.spatial = nn.Parameter(torch.randn(16, c) / c**0.5)
            self.temporal = nn.Parameter(torch.randn(8, taps) / taps**0.5)
            self.rest = nn.Sequential(
                nn.BatchNorm1d(16), nn.ELU(), nn.AvgPool1d(2), nn.Dropout(dropout),
                nn.Conv1d(16, 16, 16, padding=8, groups=16, bias=False),
                nn.Conv1d(16, 16, 1, bias=False),
                nn.BatchNorm1d(16), nn.ELU(), nn.AvgPool1d(8), nn.Dropout(dropout),
                nn.Flatten(), nn.Linear(16 * (t // 16), 2),
            )

        def forward(self, x):
            n = t + taps
            maps = torch.fft.rfft(torch.matmul(self.spatial, x), n)
            filters = torch.fft.rfft(self.temporal.repeat_interleave(2, 0), n)
            x = torch.fft.irfft(maps * filters, n)[:, :, taps // 2 : taps // 2 + t]
            return self.rest(x)

        @torch.no_grad()
        def constrain(self):
            for w, limit in ((self.spatial, 1.0), (self.rest[-1].weight, 0.25)):
                w.mul_((limit / w.norm(dim=1, keepdim=True)).clamp(max=1.0))

    net = Net().to(device)
    opt = torch.optim.AdamW(net.parameters(), lr=lr, weight_decay=1e-2)
    xs = torch.tensor(x).to(device)
    ys = torch.tensor(rows[:, 2]).to(device)
    idx = torch.tensor(np.flatnonzero(train))
    steps = epochs * -(-len(idx) // batch)
    sched = torch.optim.lr_scheduler.OneCycleLR(opt, lr, total_steps=steps, pct_start=0.1)
    trace = []
    for epoch in range(epochs):
        net.train()
        order = idx[torch.randperm(len(idx))].to(device)
        for chunk in order.split(batch):
            loss = nn.functional.cross_entropy(net(xs[chunk]), ys[chunk])
            opt.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            opt.step()
            sched.step()
            net.constrain()
        if not quiet and (epoch + 1) % 5 == 0:
            net.eval()
            with torch.no_grad():
                pr = net(xs[torch.tensor(np.flatnonzero(test)).to(device)]).argmax(1).cpu().numpy()
            trace.append((epoch + 1, round(float(balanced(rows[test, 2], pr)), 3)))
    if trace:
        print("   ", trace, flush=True)
    net.eval()
    with torch.no_grad():
        return net(xs[torch.tensor(np.flatnonzero(test)).to(device)]).argmax(1).cpu().numpy()


def aadnet_fold(x, envs, rows, train, test, seed, epochs, lr=1e-3, batch=32, dropout=0.4, rate=200):
    """AADNet (as in github.com/babibo180918/AADNet) at about 67 Hz, with every window also in swapped order."""
    import torch
    from torch import nn

    torch.manual_seed(seed)
    torch.set_num_threads(1)
    low = butter(4, 25, "low", fs=rate, output="sos")
    x = sosfiltfilt(low, x, axis=2)[:, :, ::3].astype("float32")
    e = envs[:, :, ::3]
    e = (e - e.mean(2, keepdims=True)) / (e.std(2, keepdims=True) + 1e-6)
    c = x.shape[1]

    class Inception(nn.Module):
        def __init__(self, c, plain, branches, pool):
            super().__init__()
            self.parts = nn.ModuleList([nn.Conv1d(c, plain, 1)])
            for kernel, middle, out in branches:
                self.parts.append(nn.Sequential(nn.Conv1d(c, middle, 1), nn.Conv1d(middle, out, kernel, padding=kernel // 2)))
            if pool:
                self.parts.append(nn.Sequential(nn.MaxPool1d(3, 1, 1), nn.Conv1d(c, pool, 1)))

        def forward(self, x):
            return torch.relu(torch.cat([p(x) for p in self.parts], 1))

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm_in = nn.BatchNorm1d(c + 2)
            self.eeg = Inception(c, 32, [(19, 16, 8), (25, 8, 8), (33, 4, 8), (39, 2, 8)], 8)
            self.audio = Inception(1, 1, [(65, 1, 4), (81, 1, 4)], 0)
            self.norm = nn.BatchNorm1d(72 + 18)
            self.out = nn.Sequential(nn.Flatten(), nn.Dropout(dropout), nn.Linear(18 * 72, 2))

        def forward(self, x, e):
            z = self.norm_in(torch.cat([x, e], 1))
            parts = [self.eeg(z[:, :c]), self.audio(z[:, c : c + 1]), self.audio(z[:, c + 1 :])]
            z = self.norm(torch.cat(parts, 1))
            z = z - z.mean(2, keepdim=True)
            z = z / (z.norm(dim=2, keepdim=True) + 1e-6)
            return self.out(z[:, 72:] @ z[:, :72].transpose(1, 2))

    net = Net()
    opt = torch.optim.AdamW(net.parameters(), lr=lr, weight_decay=1e-2)
    xs, es = torch.tensor(x), torch.tensor(np.ascontiguousarray(e))
    idx = torch.tensor(np.flatnonzero(train))
    sched = torch.optim.lr_scheduler.OneCycleLR(opt, lr, total_steps=epochs * -(-len(idx) // batch), pct_start=0.1)
    for _ in range(epochs):
        net.train()
        for chunk in idx[torch.randperm(len(idx))].split(batch):
            n = len(chunk)
            xb = xs[chunk].repeat(2, 1, 1)
            eb = torch.cat([es[chunk], es[chunk].flip(1)])
            loss = nn.functional.cross_entropy(net(xb, eb), torch.arange(2).repeat_interleave(n))
            opt.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            opt.step()
            sched.step()
    net.eval()
    with torch.no_grad():
        # Both orders; the mean is without order bias.
        t = torch.tensor(np.flatnonzero(test))
        score = net(xs[t], es[t]).softmax(1)[:, 0] - net(xs[t], es[t].flip(1)).softmax(1)[:, 0]
    return float((score > 0).float().mean())


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("root")
    ap.add_argument("--network", action="store_true")
    ap.add_argument("--epochs", type=int, default=60)
    ap.add_argument("--batch", type=int, default=32)
    ap.add_argument("--lr", type=float, default=3e-3)
    ap.add_argument("--protocol", choices=("shuffled", "trials apart"), help="only this one")
    ap.add_argument("--folds", type=int, default=5, help="folds to run of the five")
    ap.add_argument("--seeds", type=int, default=1)
    ap.add_argument("--device", default="cpu")
    ap.add_argument("--trace", action="store_true")
    args = ap.parse_args()
    x, envs, rows = load(args.root)
    print(f"{len(x)} windows of {x.shape[1:]}, share right {rows[:, 2].mean():.3f}", flush=True)
    for protocol in [args.protocol] if args.protocol else ("shuffled", "trials apart"):
        result = {}
        for seed in range(args.seeds):
            fold = folds(rows, protocol, np.random.default_rng(seed))
            for k in range(args.folds):
                train, test = fold != k, fold == k
                y = rows[test, 2]
                add = lambda name, v: result.setdefault(name, []).append(v)
                add("covariance", balanced(y, covariance_fold(x, rows, train, test)))
                add("ridge", ridge_fold(x, envs, rows, train, test))
                if args.network:
                    p = eegnet_fold(x, rows, train, test, seed * 100 + k, args.epochs, args.lr, args.batch, device=args.device, quiet=not args.trace)
                    add("eegnet", balanced(y, p))
                    add("aadnet", aadnet_fold(x, envs, rows, train, test, seed * 100 + k, args.epochs))
        for name, v in result.items():
            print(f"{protocol:13s} {name:11s} {np.mean(v):.3f}  {np.round(v, 2).tolist()}", flush=True)


if __name__ == "__main__":
    main()
