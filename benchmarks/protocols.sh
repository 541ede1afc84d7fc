#!/usr/bin/env bash
# The README's four commands on one set in COCO's and in VOC's layout, with C4 and with FPN detectors made small by
# KEY VALUE, from random weights and from a short MetaMask pretraining. What is in OUT already is not run again.
#
#     benchmarks/protocols.sh DATA OUT        about 70 minutes of one CPU core
#
# DATA: python -m benchmarks.sets.photographs --cutouts CUTOUTS --out DATA --train 1000 --val 200 --unlabeled 3000 --voc
set -euo pipefail
[ $# -eq 2 ] || { echo "protocols.sh: expected DATA and OUT, found $# arguments" >&2; exit 1; }
[ -d "$1/VOC2007" ] || { echo "protocols.sh: expected VOC2007 in $1, found none; make the set with --voc" >&2; exit 1; }
data=$(realpath "$1")
mkdir -p "$2"
out=$(realpath "$2")
cd "$(dirname "$0")/.."
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}

coco=(--train "$data/coco/train2017" "$data/coco/annotations/instances_train2017.json"
      --val "$data/coco/val2017" "$data/coco/annotations/instances_val2017.json")
voc=(--train-voc "$data/VOC2007:trainval" --val-voc "$data/VOC2007:test")
small=(INPUT.MIN_SIZE_TRAIN '(128,)' INPUT.MAX_SIZE_TRAIN 213 INPUT.MIN_SIZE_TEST 128 INPUT.MAX_SIZE_TEST 213
       MODEL.ROI_HEADS.BATCH_SIZE_PER_IMAGE 32 DATALOADER.NUM_WORKERS 0)
short=(SOLVER.IMS_PER_BATCH 4 SOLVER.BASE_LR 0.02 SOLVER.STEPS '(150,185)' SOLVER.MAX_ITER 200 SOLVER.WARMUP_ITERS 50
       TEST.EVAL_PERIOD 0)
c4=("${small[@]}" "${short[@]}" MODEL.ANCHOR_GENERATOR.SIZES '[[16,32,64,128]]'
    MODEL.RPN.PRE_NMS_TOPK_TEST 1000 MODEL.RPN.POST_NMS_TOPK_TEST 50 MODEL.RPN.POST_NMS_TOPK_TRAIN 200)
fpn=("${small[@]}" "${short[@]}" MODEL.ANCHOR_GENERATOR.SIZES '[[8],[16],[32],[64],[128]]'
     MODEL.RPN.POST_NMS_TOPK_TEST 100 MODEL.RPN.POST_NMS_TOPK_TRAIN 300)

if [ ! -f "$out/a/backbone.safetensors" ]; then
    python -m pretrain configs/pretrain/metamask_r18_any_100e.py --data "$data/unlabeled" --work-dir "$out/a" --resume \
        --cfg-options schedule.iterations=300 data.workers=0 meta.every=4 optimizer.lr=0.1
fi
[ -f "$out/a/detectron2.pth" ] ||
    python -m transfer convert "$out/a/backbone.safetensors" --to detectron2 --out "$out/a/detectron2.pth"

tune() { # set/start, weights, config, flags and overrides
    [ -f "$out/$1/record.json" ] ||
        python -m transfer.train_net --config-file "$3" --init "$2" --seed 0 --resume "${@:4}" OUTPUT_DIR "$out/$1"
}
for start in random metamask; do
    weights=$start
    [ $start = random ] || weights=$out/a/detectron2.pth
    tune coco_fpn/$start "$weights" any_mask_rcnn_R_18_FPN_small "${coco[@]}" \
        SOLVER.STEPS '(270,330)' SOLVER.MAX_ITER 360 DATALOADER.NUM_WORKERS 0
    tune coco_c4/$start "$weights" coco_mask_rcnn_R_18_C4_1x "${coco[@]}" "${c4[@]}"
    tune voc_fpn/$start "$weights" voc0712_faster_rcnn_R_18_FPN_24k "${voc[@]}" "${fpn[@]}"
    tune voc_c4/$start "$weights" voc07_faster_rcnn_R_18_C4_9k "${voc[@]}" "${c4[@]}"
done
for set in coco_fpn coco_c4 voc_fpn voc_c4; do
    python -m transfer report "$out/$set/metamask" "$out/$set/random" --baseline random --pretrain "$out/a" \
        --out "$out/$set/report"
done
