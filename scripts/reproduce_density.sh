#!/usr/bin/env bash
# Reproduce the density table of one image set: prepare, train, evaluate, table.
#   bash scripts/reproduce_density.sh NAME [SOURCE]   NAME: digits fashion cifar10 imagenet32 ...
#   bash scripts/reproduce_density.sh --smoke         one step of every full-size configuration
# SEEDS="0 1" repeats; SAMPLES=1 importance samples. A run that was interrupted is resumed.
set -euo pipefail
cd "$(dirname "$0")/.."
name=${1:?give the name of an image set, as in configs/vae, or --smoke}
case $name in
    shapes3d) source scripts/environment.sh shapes3d ;;
    *) source scripts/environment.sh digits ;;
esac
python=.venv/bin/python
if [ "$name" = --smoke ]; then
    for config in configs/vae/{cifar10,imagenet32,celebahq256,shapes3d}_{sdn,cnn,cnn_matched}.yaml; do
        "$python" scripts/step_density.py "$config" --batch 2
    done
    exit
fi
if [ ! -f "configs/vae/${name}_sdn.yaml" ]; then
    echo "There is no configs/vae/${name}_sdn.yaml." >&2
    exit 1
fi
case $name in
    digits) source=digits kind=digits ;;
    fashion) source=${2:-/usr/share/datasets/fashion-mnist} kind=idx ;;
    *) source=${2:?give the raw image set as second argument} kind=auto ;;
esac
data=runs/density/$name
[ -f "$data/dataset.json" ] || .venv/bin/sdunet vae prepare "$source" -o "$data" --kind "$kind" --name "$name"
runs=()
for seed in ${SEEDS:-0}; do
    for model in sdn cnn cnn_matched; do
        run=runs/density/${name}_${model}_$seed
        resume=()
        [ -f "$run/last.safetensors" ] && resume=(--resume)
        .venv/bin/sdunet vae train --config "configs/vae/${name}_$model.yaml" \
            --data "$data" --out "$run" --training.seed "$seed" "${resume[@]}"
        .venv/bin/sdunet vae evaluate --model "$run" --data "$data" --samples "${SAMPLES:-1}"
        runs+=("$run")
    done
done
.venv/bin/sdunet vae table "${runs[@]}"
