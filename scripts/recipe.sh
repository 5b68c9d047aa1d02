#!/usr/bin/env bash
# Trains one network by recipes that differ in one item, on as many steps each, and prints their
# table and what their differences may be by chance; see docs/benchmarks/recipe.md.
#
#   bash scripts/recipe.sh nuclei PATH/stage1_train.zip OUT
#   bash scripts/recipe.sh hippocampus PATH/Task04_Hippocampus.tar OUT
#   bash scripts/recipe.sh left_ventricle PATH/sunnybrook.zip OUT
#
# What is there already is kept; a run that was stopped goes on. NETWORK, default sdunet; SEEDS,
# default 0; FOLDS, default 0; ITEMS, those below; EPOCHS, those below; PRECISION, default bf16-mixed.
set -euo pipefail
usage="nuclei, hippocampus or left_ventricle, the raw data, a folder for the runs"
task=${1:?$usage} raw=$(realpath "${2:?$usage}")
out=$(realpath -m "${3:?$usage}")/$task
cd "$(dirname "$0")/.."

case $task in
nuclei) config=configs/nuclei.yaml epochs=4 weighted=nucleus ;;
hippocampus) config=configs/hippocampus.yaml epochs=8 weighted=Posterior ;;
left_ventricle) config=configs/sound/left_ventricle.yaml epochs=10 weighted=ventricle ;;
*) echo "$usage" >&2 && exit 2 ;;
esac
source scripts/environment.sh test
source .venv/bin/activate
source scripts/segmentation_rows.sh

epochs=${EPOCHS:-$epochs}
# Before an item's own settings, so that these win.
of_network() {
    arguments=(--network.name "$1" --training.augmentation light --training.epochs "$epochs"
        --training.patience "$epochs" --training.precision "${PRECISION:-bf16-mixed}")
}
training=() scoring=()
SEEDS=${SEEDS:-0} FOLDS=${FOLDS:-0}
items=${ITEMS:-
    @training.augmentation=full
    @training.augmentation=none@training.rotate=false@training.flip_axes=[]
    @training.ema=0.99
    @training.optimizer=sgd@training.learning_rate=0.01@training.schedule=poly
    @training.schedule=constant
    @training.foreground=0.33
    @training.foreground=0
    @training.loss=dice_focal
    @training.loss=tversky
    @training.class_weights.$weighted=2}
networks=${NETWORK:-sdunet}
for item in $items; do networks+=" ${NETWORK:-sdunet}$item"; done
rows "$raw" "$config" "$out" $networks

for seed in $SEEDS; do
    echo "seed $seed: differences of Dice"
    run=$(run_name "$seed" "${FOLDS%% *}")
    sdunet compare $(for network in $networks; do echo "$out/$network/$run/scores"; done) \
        --names base $items -o "$out/compared/seed_$seed" --metrics dice
done
