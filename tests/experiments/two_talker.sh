#!/bin/sh
# Does stage 2 help stage 3? On the simulated two-talker corpus, whose response to the attended talker is
# planted: stage 2 then 3, stage 3 from scratch with as many passes, and ridge, on one split.
#
#     tests/experiments/two_talker.sh [FOLDER]     # where to work, default target/experiments/two_talker
#
# MMPIPE is the binary (default target/release/mmpipe), FOLDS the folds of the networks (default 0), SEED that of
# their weights, order and dropout (default 0).
# Eight subjects, 32 trials of 48 s each; the response is strong (25 µV where it is strongest, against 8 µV of
# background and 8 µV of rhythms), since a network of this size learns nothing from 4,000 epochs of the demo's.
set -eu

root=$(cd "$(dirname "$0")/../.." && pwd)
work=${1:-"$root/target/experiments/two_talker"}
mmpipe=${MMPIPE:-"$root/target/release/mmpipe"}
folds=${FOLDS:-0}
seed=${SEED:-0}
# Runs of another seed have it in their names.
if [ "$seed" = 0 ]; then tag=""; else tag="-s$seed"; fi
mkdir -p "$work"
export MMPIPE_LAKE="$work/lake"
split=twotalker-content-disjoint-f4-s0

if [ ! -e "$MMPIPE_LAKE" ]; then
    (cd "$root" && cargo run --release -p mmpipe-simulate --example two_talker -- "$work/raw" \
        subjects=8 trials=32 trial_seconds=48 attended_uv=25)
    "$mmpipe" ingest --dataset TwoTalker --raw "$work/raw"
fi
"$mmpipe" split --dataset TwoTalker --protocol content-disjoint --folds 4

if [ "$seed" = 0 ]; then
    "$mmpipe" train --split $split --model ridge --name ridge --no-controls
    "$mmpipe" evaluate --run ridge
fi
"$mmpipe" train --stage align --split $split --folds "$folds" --seed "$seed" --name "two$tag" --epochs 10 \
    --set align.size=tiny --set align.fusion=clip --set align.steps.batch=64 \
    --set align.steps.lr=5e-4 --set align.steps.warmup=1
for run in tuned scratch; do
    if [ $run = tuned ]; then init="--init two$tag"; else init=""; fi
    for lr in 1e-4 5e-4; do
        # shellcheck disable=SC2086
        "$mmpipe" train --stage finetune --split $split --folds "$folds" --model mindmix-av $init \
            --seed "$seed" --name "$run-$lr$tag" --epochs 8 --no-controls \
            --set train.size=tiny --set train.fusion=clip --set train.lr=$lr --set train.warmup=1
        "$mmpipe" evaluate --run "$run-$lr$tag"
    done
done
