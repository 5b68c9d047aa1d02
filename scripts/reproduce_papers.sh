#!/usr/bin/env bash
# Trains networks side by side on a task of the Spatially Dependent U-Nets (arXiv 2103.11713) and
# prints their table, and what their differences may be by chance; see docs/benchmarks/papers.md.
#
#   bash scripts/reproduce_papers.sh nuclei PATH/stage1_train.zip OUT
#   bash scripts/reproduce_papers.sh polyps PATH/cvc_clinicdb.zip OUT
#   bash scripts/reproduce_papers.sh liver PATH/liver_3dircadb_128.zip OUT
#   bash scripts/reproduce_papers.sh left_ventricle PATH/sunnybrook.zip OUT    # sound alone
#   bash scripts/reproduce_papers.sh vessels PATH/drive.zip OUT                # sound alone
#
# PROTOCOL, published (for a GPU) or sound (for two cores), the default. A network is one of
# configs/networks or a name that sdunet train knows; NETWORKS, all; SEEDS, default "0 1"; FOLDS,
# default 0: several of them report on more patients; one row:
#
#   NETWORKS=sdunet SEEDS=0 bash scripts/reproduce_papers.sh polyps PATH/cvc_clinicdb.zip OUT
#
# What is there already is kept; a run that was stopped goes on. EPOCHS, for another budget;
# PRECISION, default bf16-mixed, in which sweeps stay in float32.
set -euo pipefail
usage="nuclei, polyps, liver, left_ventricle or vessels, the raw data, a folder for the runs"
task=${1:?$usage} raw=$(realpath "${2:?$usage}") protocol=${PROTOCOL:-sound}
out=$(realpath -m "${3:?$usage}")/$task/$protocol
cd "$(dirname "$0")/.."

case $protocol in
published) config=configs/papers/$task.yaml ;;
sound) config=configs/sound/$task.yaml ;;
*) echo "PROTOCOL is published or sound, not '$protocol'" >&2 && exit 2 ;;
esac
[ -e "$config" ] || { echo "$task has no $protocol protocol: $config is not there" >&2 && exit 2; }
source scripts/environment.sh test
source .venv/bin/activate
source scripts/segmentation_rows.sh

of_network() {
    arguments=(--network.name "$1")
    # Published widths of the nested network are too large for the sound protocol's budget.
    if [ -e "configs/networks/$1.yaml" ] && [ "$protocol $1" != "sound nested_sdunet" ]; then
        arguments=(--config "configs/networks/$1.yaml")
    fi
}
training=(--training.precision "${PRECISION:-bf16-mixed}" ${EPOCHS:+--training.epochs "$EPOCHS"})
scoring=()
if [ "$protocol" = published ]; then
    size=$(sed -n 's/^  resize: \[\(.*\), \(.*\)\].*/\1 \2/p' "$config")
    scoring=(--pooled-dice 16 --pooled-size $size)
fi
networks=${NETWORKS:-sdunet sdunet_carry unet unet_matched dilated attention_unet nested_sdunet unet_plus_plus}
[ "$task" = vessels ] && FOLDS=${FOLDS:-2} # 14 eyes to learn from, 6 to report
FOLDS=${FOLDS:-0}
if [ "$task" = vessels ]; then
    networks=${NETWORKS:-unet dilated sdunet sdunet@network.cell=gru@network.init=published}
    [ -e "$out/seeded/repairs.json" ] || sdunet convert "$raw" -o "$out/seeded" --seeded \
        --dataset.channels "[red, green, blue]" --dataset.labels "{background: 0, vessel: 1}" \
        --dataset.label_map "{255: 1}"
    raw=$out/seeded
fi
rows "$raw" "$config" "$out" $networks
[ "$task" != vessels ] ||
    python scripts/far_half.py "$raw" $(for network in $networks; do echo "$out/$network"; done)

[ "$(wc -w <<<"$networks")" -lt 2 ] || for seed in ${SEEDS:-0 1}; do
    echo "seed $seed: differences of Dice"
    first=$(run_name "$seed" "${FOLDS%% *}")
    sdunet compare $(for network in $networks; do echo "$out/$network/$first/scores"; done) \
        --names $networks -o "$out/compared/seed_$seed" --metrics dice
done
