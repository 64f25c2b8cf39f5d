#!/usr/bin/env python3
"""How long a stage-1 step waits for its data, from Parquet to updated weights.

    cargo build --release
    python tests/peers/data_wait.py target/release/mmpipe [--size base] [--threads 2]

Makes a miniature of EEGMat (20 channels, epochs of 2 s), ingests it, and pre-trains on it for two passes,
validation and checkpoints included, in batches of 16, with 512 codes (so that k-means before the first step is short), and no cache of
prepared examples. `wait_seconds` of the report is the time in which the training thread stood
still for the next batch; wanted is under 5 % of all. A smaller network waits for more.
"""

import argparse
import json
import pathlib
import subprocess
import tempfile


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("mmpipe")
    parser.add_argument("--size", default="base")
    parser.add_argument("--threads", default="2")
    parser.add_argument("--subjects", default="12")
    args = parser.parse_args()
    mmpipe = str(pathlib.Path(args.mmpipe).resolve())
    with tempfile.TemporaryDirectory() as folder:

        def call(*words):
            done = subprocess.run([mmpipe, "--lake", "lake", "--threads", args.threads, *words],
                                  cwd=folder, capture_output=True, text=True)
            if done.returncode != 0:
                raise SystemExit(f"{words}: {done.stderr}")
            return done.stdout

        call("simulate", "--dataset", "EEGMat", "--subjects", args.subjects, "--out", "raw")
        call("ingest", "--dataset", "EEGMat", "--raw", "raw")
        out = call("train", "--stage", "pretrain", "--dataset", "EEGMat", "--epochs", "2", "--json",
                   "--set", f"pretrain.size={args.size}", "--set", "pretrain.steps.cache_mib=0",
                   "--set", "pretrain.steps.batch=16", "--set", "pretrain.codes=512")
        for fit in json.loads(out)["reports"]:
            fit = fit["report"]
            share = 100 * fit["wait_seconds"] / fit["seconds"]
            steps = sum(phase["steps"] for phase in fit["phases"])
            print(f"{args.size}: {steps} steps, {fit['seconds']:.2f} s, of which {fit['wait_seconds']:.3f} s "
                  f"({share:.2f} %) waiting for data")


if __name__ == "__main__":
    main()
