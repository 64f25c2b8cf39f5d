#!/bin/sh
# On a machine with an NVIDIA GPU: is mmpipe right there, and how fast against PyTorch eager.
#
#     tests/gpu/run.sh PROGRAM [FILE]      # what build_trainer.sh built; where the results go
#
# Runs `check`, `bench` and `peer.py`, one after the other, and writes one JSON file with date and device
# (default tests/gpu/results/DATE.json). Needs python3; torch and transformers are installed into a
# folder of their own beside the program unless `python3` has them. The libraries of CUDA are those that
# torch brings. Exit code 1 where a check was wrong; the results are written all the same.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
program=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
date=$(date -u +%Y-%m-%dT%H%M%SZ)
file=${2:-"$here/results/$date.json"}
mkdir -p "$(dirname "$file")"
parts=$(mktemp -d)
trap 'rm -rf "$parts"' EXIT

python=python3
if ! python3 -c 'import torch, transformers' 2>/dev/null; then
    venv=$(dirname "$program")/torch-venv
    [ -x "$venv/bin/python" ] || python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet torch transformers
    python=$venv/bin/python
fi
libraries=$("$python" -c '
import glob, os, torch
site = os.path.dirname(os.path.dirname(torch.__file__))
print(":".join(glob.glob(os.path.join(site, "nvidia", "*", "lib"))))')
export LD_LIBRARY_PATH="$libraries${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"

"$program" device --device cuda
wrong=0
"$program" check --device cuda --json >"$parts/check.json" || wrong=1
"$program" bench --device cuda --json >"$parts/bench.json"
"$python" "$here/peer.py" --device cuda >"$parts/peer.json"
"$python" - "$parts" "$file" "$date" <<'END'
import json, sys

parts, file, date = sys.argv[1:]
read = lambda name: json.load(open(f"{parts}/{name}.json"))
check, bench, peer = read("check"), read("bench"), read("peer")
own = {(b["stage"], b["precision"]): b for b in bench["benchmarks"]}
ratios = []
for b in peer["benchmarks"]:
    mine = own[b["stage"], b["precision"]]["median_seconds"]
    ratio = {"stage": b["stage"], "precision": b["precision"], "mmpipe_seconds": mine,
             "pytorch_seconds": b["median_seconds"], "times_as_fast": b["median_seconds"] / mine}
    ratios.append(ratio)
    print("stage {stage} {precision}: mmpipe {mmpipe_seconds:.4f} s, PyTorch {pytorch_seconds:.4f} s: "
          "{times_as_fast:.2f} times as fast".format(**ratio))
with open(file, "w") as f:
    json.dump({"date": date, "device": bench["device"], "right": check["right"], "ratios": ratios,
               "check": check, "bench": bench, "peer": peer}, f, indent=1)
print(f"{sum(r['right'] for r in check['checks'])} of {len(check['checks'])} checks right; written to {file}")
END
exit "$wrong"
