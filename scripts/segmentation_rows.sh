# Sourced, from the project's root: trains networks side by side on one dataset, a row for each and
# each seed, and prints their table.
#
#   rows RAW CONFIG OUT NETWORK...
#
# What is there already is kept; a run that was stopped goes on. SEEDS, default "0 1"; FOLDS that
# are validated, default "0", each by a network of its own. A network with other settings is written NAME@SETTING=VALUE, such as sdunet@network.num_features=32.
# Whoever sources this says what a NAME is by a function `of_network`, which sets the array
# `arguments`; and what all rows share by the arrays `training` and `scoring`, options of
# sdunet train and sdunet evaluate.
run_name() { # SEED FOLD
    echo "seed_$1$([ "$2" = 0 ] || echo "_fold_$2")"
}

rows() {
    local raw=$1 config=$2 out=$3 network seed fold run setting
    shift 3
    [ -e "$out/data/dataset.json" ] || sdunet prepare "$raw" -o "$out/data" --config "$config"
    for network in "$@"; do
        of_network "${network%%@*}"
        for setting in $(tr @ " " <<<"${network#"${network%%@*}"}"); do
            arguments+=("--$setting")
        done
        for seed in ${SEEDS:-0 1}; do for fold in ${FOLDS:-0}; do
            run=$out/$network/$(run_name "$seed" "$fold")
            [ -e "$run/run.json" ] || sdunet train --config "$config" "${arguments[@]}" \
                --data "$out/data" --out "$run" --training.seed "$seed" --fold "$fold" \
                "${training[@]}" $([ -e "$run/last.safetensors" ] && echo --resume)
            cases=(--cases "$run/validation_cases.txt")
            [ -e "$run/scores/summary.json" ] || {
                sdunet predict --model "$run" -i "$raw" -o "$run/predictions" "${cases[@]}"
                sdunet evaluate --pred "$run/predictions" --ref "$raw" -o "$run/scores" \
                    "${cases[@]}" "${scoring[@]}"
            }
        done; done
    done
    python scripts/table_segmentation.py $(for network in "$@"; do echo "$out/$network"; done)
}
