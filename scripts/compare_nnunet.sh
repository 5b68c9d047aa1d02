#!/usr/bin/env bash
# nnU-Net and sdunet side by side: the same files, the same fold, the same minutes, at the same
# time, each on a half of the processors. Scores are those of both tools, on the same cases.
#
#   compare_nnunet.sh NAME RAW OUT MINUTES CONFIGURATION CONVERT_OPTION... -- RUN_OPTION...
#
# CONFIGURATION is nnU-Net's: 2d or 3d_fullres. Both choose their network and training themselves;
# what a dataset needs to be read and split rightly is said by the options. sdunet's minutes are
# those from data to page, nnU-Net's those of training alone. The validation fold is 0.
set -euo pipefail
cd "$(dirname "$0")/.."
bash scripts/nnunet_environment.sh
name=$1 raw=$2 out=$3 minutes=$4 configuration=$5
shift 5
converting=()
while [ $# -gt 0 ] && [ "$1" != -- ]; do converting+=("$1") && shift; done
[ $# -eq 0 ] || shift
mkdir -p "$out"
out=$(cd "$out" && pwd)
set_folder=Dataset001_$name data=$out/raw/Dataset001_$name
export nnUNet_raw=$out/raw nnUNet_preprocessed=$out/preprocessed nnUNet_results=$out/results
export nnUNet_extTrainer=$PWD/scripts/nnunet SDUNET_MINUTES=$minutes OMP_WAIT_POLICY=passive
nnunet() { ".venv-nnunet/bin/nnUNetv2_$1" "${@:2}"; }
sdunet() { .venv/bin/python -m sdunet "$@"; }

half=$(($(nproc) / 2))
first=0-$((half - 1)) second=$half-$((2 * half - 1))
export OMP_NUM_THREADS=$half nnUNet_def_n_proc=1

[ -e "$data/dataset.json" ] || sdunet convert "$raw" -o "$data" --to nnunet "${converting[@]}"
[ -e "$nnUNet_preprocessed/$set_folder/nnUNetPlans.json" ] ||
    nnUNet_n_proc_DA=1 nnunet plan_and_preprocess -d 1 -c "$configuration" -np 1 -npfp 1
# The split is made once, by sdunet; a list of folds is of one form in both.
splits=$nnUNet_preprocessed/$set_folder/splits_final.json
[ -e "$splits" ] || {
    sdunet prepare "$data" -o "$out/split" "$@"
    cp "$out/split/splits.json" "$splits"
}

validation=$nnUNet_results/$set_folder/nnUNetTrainerMinutes__nnUNetPlans__$configuration/fold_0/validation
if [ ! -e "$validation/summary.json" ]; then
    nnUNet_n_proc_DA=0 taskset -c "$second" .venv-nnunet/bin/nnUNetv2_train 1 "$configuration" 0 \
        -tr nnUNetTrainerMinutes -device cpu >"$out/nnunet.log" 2>&1 &
    theirs=$!
    trap 'kill "$theirs" 2>/dev/null || true' EXIT
    taskset -c "$first" .venv/bin/python -m sdunet run "$data" -o "$out/sdunet" --folds 1 \
        --minutes "$minutes" "$@"
    wait "$theirs"
fi
cases=$out/sdunet/runs/fold_0/validation_cases.txt
[ -e "$cases" ] || cases=$(find "$out/sdunet/runs" -name validation_cases.txt | head -1)
for tool in sdunet nnunet; do
    predictions=$out/sdunet/predictions
    [ "$tool" = sdunet ] || predictions=$validation
    [ -e "$out/scores_$tool/summary.json" ] ||
        sdunet evaluate --pred "$predictions" --ref "$data" -o "$out/scores_$tool" --cases "$cases"
done
grep -h "steps, \|trained for" "$out/nnunet.log" || true
sdunet compare "$out/scores_nnunet" "$out/scores_sdunet" --names nnunet sdunet -o "$out/compare"
