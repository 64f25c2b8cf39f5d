#!/bin/sh
# Does stage 1 help stage 3 on EEGMat (rest or mental arithmetic)? Pre-training without labels on EEGMMIDB and
# on EEGMat's training subjects, then fine-tuning; the same network from scratch; band power. Subjects apart.
#
#     tests/experiments/eegmat.sh EEGMAT EEGMMIDB [FOLDER]   # folders of the recordings; where to work,
#                                                            # default target/experiments/eegmat
#
# MMPIPE is the binary (default target/release/mmpipe).
set -eu

root=$(cd "$(dirname "$0")/../.." && pwd)
eegmat=$1
eegmmidb=$2
work=${3:-"$root/target/experiments/eegmat"}
mmpipe=${MMPIPE:-"$root/target/release/mmpipe"}
mkdir -p "$work"
export MMPIPE_LAKE="$work/lake"
split=eegmat-cross-subject-s0

if [ ! -e "$MMPIPE_LAKE" ]; then
    # A part of a corpus is less than expected, which the exit code says.
    "$mmpipe" ingest --dataset EEGMat --raw "$eegmat" || test $? = 1
    "$mmpipe" ingest --dataset EEGMMIDB --raw "$eegmmidb" || test $? = 1
fi
"$mmpipe" split --dataset EEGMat --protocol cross-subject

"$mmpipe" train --split $split --model bandpower-lr --name power --no-controls
"$mmpipe" evaluate --run power
"$mmpipe" train --stage pretrain --split $split --dataset EEGMMIDB --name pre --epochs 3 \
    --set pretrain.size=tiny --set pretrain.codes=512 --set pretrain.code_dim=32 \
    --set pretrain.kmeans_vectors=4096 --set pretrain.steps.batch=32 \
    --set pretrain.steps.lr=5e-4 --set pretrain.steps.warmup=0.2
for run in tuned scratch; do
    if [ $run = tuned ]; then init="--init pre"; else init=""; fi
    # shellcheck disable=SC2086
    "$mmpipe" train --stage finetune --split $split --model mindmix $init --name $run --epochs 10 \
        --no-controls --set train.size=tiny --set train.lr=5e-4 --set train.warmup=0.5
    "$mmpipe" evaluate --run $run
done
