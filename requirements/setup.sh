#!/usr/bin/env bash
# Build the one environment of this checkout: setup.sh VENV [DETECTRON2]
#
# DETECTRON2 is `wheel` (default: the pinned wheel, nothing to compile) or anything pip can build, such as
# git+https://github.com/facebookresearch/detectron2.git (a CUDA toolkit makes its compiled operators too).
# PYTHON names the interpreter; without it the first of python3.12, python3.11, python3 that fits is taken.
set -euo pipefail

venv=${1:?usage: setup.sh VENV [DETECTRON2]}
detectron2=${2:-wheel}
here=$(cd "$(dirname "$0")" && pwd)
fail() { echo "setup: $*" >&2; exit 1; }

fits() { "$1" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info[:2] not in [(3, 11), (3, 12)])' 2>/dev/null; }

python=
for candidate in ${PYTHON:-python3.12 python3.11 python3}; do
    if fits "$candidate"; then python=$candidate; break; fi
done
[ -n "$python" ] || fail "no usable interpreter: expected Python 3.11 or 3.12 with the venv module, found" \
    "$( { ${PYTHON:-python3} --version || echo none; } 2>&1 | head -n 1);" \
    "install one (Debian: apt install python3 python3-venv) or name it: make PYTHON=/path/to/python3.11 ..."

free_kib=$(df -Pk "$here" | awk 'NR == 2 {print $4}')
[ "$free_kib" -gt 8000000 ] || fail "too little disk space: expected 8 GB for the environment," \
    "found $((free_kib / 1000000)) GB free; make room or move the checkout"

echo "setup: $venv with $("$python" --version), about 4 minutes and 6 GB"
"$python" -m venv --clear "$venv"
pip=("$venv/bin/python" -m pip --disable-pip-version-check --no-input -q)

"${pip[@]}" install --no-compile -c "$here/constraints.txt" setuptools wheel
"${pip[@]}" install --no-compile -c "$here/constraints.txt" -e "$here/..[dev]" \
    || fail "the Python packages could not be installed (see above); check the network and pip's index settings, then run the same command again"

"${pip[@]}" install --no-deps --no-compile -r "$here/sets.txt" \
    || fail "the packages of LVIS and Cityscapes (requirements/sets.txt) could not be installed (see above)"

if [ "$detectron2" = wheel ]; then
    # The wheel is tagged for Python 3.10; --target takes it for 3.11 and 3.12, where its bundled extension is
    # ignored and torchvision's operators do the work (Mask R-CNN and Faster R-CNN need no other).
    site=$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
    "${pip[@]}" install --no-deps --require-hashes --only-binary=:all: --python-version 3.10 \
        --target "$site" --no-compile -r "$here/detectron2.txt" \
        || fail "Detectron2's wheel (requirements/detectron2.txt) is not to be had from this index;" \
                "build upstream instead: make DETECTRON2='git+https://github.com/facebookresearch/detectron2.git' ..."
else
    "${pip[@]}" install --no-deps --no-build-isolation "$detectron2" \
        || fail "Detectron2 could not be built from $detectron2; it needs a C++ compiler (and nvcc for GPU operators)," \
                "or leave DETECTRON2 unset to take the pinned wheel"
fi

"$venv/bin/python" -c 'import torch, torchvision, detectron2.modeling, mmengine, cv2, pycocotools.mask' \
    || fail "the environment was installed but does not import (see above)"
echo "setup: done"
