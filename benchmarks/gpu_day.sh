#!/usr/bin/env bash
# All that wants a GPU, most valuable first: parts of at most 8 minutes, one line each. The same command goes on where
# it was ended, whether by Ctrl-C, a kill or the queue.
#
#     benchmarks/gpu_day.sh OUT                 on a machine with one GPU
#     benchmarks/gpu_day.sh OUT --miniature     every part in miniature on a CPU: shows that it works
#
# OUT gets for each part N a log (N.log), its figures (N_*.json) and, when it is done, N.done; files of at most 16 MiB.
# What is larger lies in OUT.work, which nobody needs afterwards. PY is the Python to use (default .venv/bin/python).
# Part 6 wants the nuclei in data/nuclei (python -m benchmarks.sets.nuclei; see docs/evidence-data.md).
# Then: the figures belong into benchmarks/results/, in a folder of the device's name.
set -euo pipefail
fail() { echo "gpu_day.sh: $*" >&2; exit 1; }
[ $# -ge 1 ] && [ $# -le 2 ] && [ "${2:---miniature}" = --miniature ] || fail "expected OUT [--miniature], found: $*"
mini=${2:+1}
mkdir -p "$1" "$1.work"
out=$(realpath "$1") work=$(realpath "$1.work")
cd "$(dirname "$0")/.."
py=${PY:-.venv/bin/python}
command -v "$py" > /dev/null || fail "$py: expected a Python with this project's packages, found none; run make setup or set PY"
limit=${LIMIT:-480} # seconds a part
child='' failed=0

interrupted() {
    trap - INT TERM
    [ -z "$child" ] || { kill -TERM "$child" 2> /dev/null && wait "$child" || true; }
    echo "interrupted; the same command goes on from here" >&2
    exit 130
}
trap interrupted INT TERM

part() { # number, what it is, commands; done is what was done to its end
    local began=$SECONDS status=0
    if [ -f "$out/$1.done" ]; then
        echo "$1 $2: $(cat "$out/$1.done"), before"
        return
    fi
    timeout --signal=TERM --kill-after=30 "$limit" bash -euc "$3" > "$out/$1.log" 2>&1 &
    child=$!
    wait "$child" || status=$?
    child=''
    if [ $status = 0 ]; then
        echo "done in $((SECONDS - began)) s" | tee "$out/$1.part" | sed "s/^/$1 $2: /"
        mv "$out/$1.part" "$out/$1.done"
    elif [ $status = 124 ]; then
        echo "$1 $2: not at its end after $limit s; the same command goes on with it (or begins it again)"
    else
        echo "$1 $2: failed with $status: $(tail -n 1 "$out/$1.log" | cut -c1-200)"
        failed=1
    fi
}

export py out work
if [ -n "$mini" ]; then
    export CUDA_VISIBLE_DEVICES=
    case='--quick' feed='--quick' norm='--quick' tune='--quick'
    study='configs/studies/digits_small.yaml --only random/0/25%'
else
    nvidia-smi > "$out/device.txt" || fail "expected a GPU, found none; or show that it works: --miniature"
    case='--case resnet50:224:64:bf16' norm='--n 64 --size 224'
    feed="--arch resnet50 --jpeg '500 px' --view 224 --batch 256 --precision bf16 --workers $(nproc)"
    tune='--config coco_mask_rcnn_R_50_FPN_1x --side 512 --pairs 2 --iterations 60'
    study='configs/studies/nuclei_gpu.yaml'
fi

part 1 'placement, mixed precision, the first step of every method, resume' \
    '"$py" -m pytest -q -m gpu -p no:cacheprovider'
part 2 'meta step: time and memory' \
    '"$py" -m benchmarks.meta_step '"$case"' --json "$out/2_meta_step.json"'
part 3 'feeding: colour by the loader, and by the device' \
    '"$py" -m benchmarks.feeding '"$feed"' --colour loader --json "$out/3_feeding_loader.json"
     "$py" -m benchmarks.feeding '"$feed"' --colour device --json "$out/3_feeding_device.json"'
part 4 'a compiled backbone; the synchronised batch norm' \
    '"$py" -m benchmarks.sync_norm '"$norm"' --json "$out/4_sync_norm.json"
     "$py" -m benchmarks.compile '"$case"' --json "$out/4_compile.json"'
part 5 "fine-tuning beside Detectron2's trainer" \
    '"$py" -m benchmarks.finetune '"$tune"' --only training --json "$out/5_finetune.json"'
if [ -n "$mini" ] || [ -d data/nuclei ]; then
    part 6 'a study, as many cells as the time gives' \
        '"$py" -m transfer study '"$study"' --out "$work/study"'
    # What a reader needs of it: records, and the report as far as there is one.
    (cd "$work" && find . -size -16384k \( -name record.json -o -name metrics.jsonl -o -path '*/report/*' \) -type f \
        -exec cp --parents -t "$out" {} +)
else
    echo '6 a study: left out, there is no data/nuclei (python -m benchmarks.sets.nuclei makes it)'
fi

large=$(find "$out" -type f -size +16384k)
[ -z "$large" ] || fail "expected files of at most 16 MiB, found: $large"
exit $failed
