#!/bin/sh
# Builds mmpipe-trainer for NVIDIA GPUs on a machine that needs neither GPU nor CUDA, and starts it.
#
#     tests/gpu/build_trainer.sh [FOLDER]        # FOLDER: where to work, default target/gpu
#
# Needs cargo, gcc, python3 with venv. The compiler of CUDA and the headers come as Python packages;
# candle-core is copied and told to load CUDA's libraries when they are asked for, not when the program
# starts, and the CUDA runtime is linked into the program: so it starts where there is no CUDA and says
# so. CUDA_COMPUTE_CAP (default 90) is the generation of the GPU, FEATURES (default cuda) the features.
# The repository and its Cargo.lock are not touched. Fails where the program is 64 MiB or more, does not
# start, or does not say that there is no GPU.
set -eu

root=$(cd "$(dirname "$0")/../.." && pwd)
work=${1:-"$root/target/gpu"}
features=${FEATURES:-cuda}
mkdir -p "$work"
work=$(cd "$work" && pwd)

# The compiler.
if [ ! -x "$work/venv/bin/python" ]; then
    python3 -m venv "$work/venv"
fi
"$work/venv/bin/pip" install --quiet --no-deps \
    nvidia-cuda-nvcc==13.0.88 nvidia-nvvm==13.0.88 nvidia-cuda-crt==13.0.88 \
    nvidia-cuda-cccl==13.0.85 nvidia-cuda-runtime==13.0.96
wheels=$(dirname "$(find "$work/venv/" -path '*/cu13/bin/nvcc' | head -n 1)")/..
wheels=$(cd "$wheels" && pwd)
cuda=$work/cuda
rm -rf "$cuda"
mkdir -p "$cuda/lib64"
for part in bin include nvvm; do
    ln -s "$wheels/$part" "$cuda/$part"
done
ln -s lib64 "$cuda/lib"
# Whoever links the shared runtime by this name gets the static one.
cp "$wheels/lib/libcudart_static.a" "$wheels/lib/libcudadevrt.a" "$cuda/lib64/"
echo "INPUT(-l:libcudart_static.a -lrt -lpthread -ldl)" >"$cuda/lib64/libcudart.so"

# The sources: a workspace of the trainer and what it needs, without the binary and the lake.
src=$work/src
rm -rf "$src"
mkdir -p "$src"
(cd "$root" && tar cf - --exclude=target --exclude=fuzz crates schemas) | (cd "$src" && tar xf -)
cp "$root/Cargo.lock" "$src/"
sed -e 's/^members = .*/members = ["crates\/trainer"]/' -e '/^default-members/d' -e '/^exclude = /d' \
    -e '/^\[profile\.[a-z]*\.package\./,/^$/d' "$root/Cargo.toml" >"$src/Cargo.toml"

# candle-core, its CUDA libraries loaded late.
manifest=$(cd "$root" && cargo metadata --format-version 1 --features mmpipe-trainer/cuda |
    "$work/venv/bin/python" -c '
import json, sys
print(next(p["manifest_path"] for p in json.load(sys.stdin)["packages"] if p["name"] == "candle-core"))')
rm -rf "$work/candle-core"
cp -r "$(dirname "$manifest")" "$work/candle-core"
chmod -R u+w "$work/candle-core"
rm -f "$work/candle-core/Cargo.lock" "$work/candle-core/.cargo-ok"
sed -i 's/"dynamic-linking"/"dynamic-loading"/' "$work/candle-core/Cargo.toml"
grep -q '"dynamic-loading"' "$work/candle-core/Cargo.toml"
printf '\n[patch.crates-io]\ncandle-core = { path = "%s/candle-core" }\n' "$work" >>"$src/Cargo.toml"

export CUDA_HOME="$cuda" CUDA_PATH="$cuda" CUDA_ROOT="$cuda" CUDA_TOOLKIT_ROOT_DIR="$cuda"
export NVCC="$cuda/bin/nvcc" PATH="$cuda/bin:$PATH" LIBRARY_PATH="$cuda/lib64${LIBRARY_PATH:+:$LIBRARY_PATH}"
export CUDA_COMPUTE_CAP="${CUDA_COMPUTE_CAP:-90}"
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$work/target}"
(cd "$src" && cargo build --release -p mmpipe-trainer --features "$features")

program=$CARGO_TARGET_DIR/release/mmpipe-trainer
bytes=$(wc -c <"$program")
echo "mmpipe-trainer ($features, compute capability $CUDA_COMPUTE_CAP): $bytes bytes"
if [ "$bytes" -ge $((64 * 1024 * 1024)) ]; then
    echo "error: expected less than 64 MiB" >&2
    exit 1
fi
ldd "$program"
"$program" device
if [ -e /dev/nvidiactl ]; then
    exit 0
fi
# Without a GPU: an answer and an exit code, no panic.
if said=$("$program" device --device cuda 2>&1); then
    echo "error: a GPU was found where there is none: $said" >&2
    exit 1
fi
echo "$said"
case $said in
*panicked*) echo "error: it panicked" >&2 && exit 1 ;;
*"no GPU"*) ;;
*) echo "error: it did not say that there is no GPU" >&2 && exit 1 ;;
esac
cp "$program" "$work/mmpipe-trainer"
echo "built: $work/mmpipe-trainer; next, on a machine with a GPU: tests/gpu/run.sh $work/mmpipe-trainer"
