#!/bin/sh
# sim.sh BPCUDA PLUGIN DOOR WORK: the command on the simulated device: a training is the CPU's, the
# device agrees with the CPU, and a plug-in that cannot serve is told from one that can.
bpcuda=$1 plugin=$2 door=$3 work=$4 failed=0
rm -rf "$work"
mkdir -p "$work/none" "$work/foreign" "$work/other"
cd "$work" || exit 2
claim() {
    [ $? -eq 0 ] && return
    failed=1
    echo "FAILED $1"
    sed 's/^/    /' out
}
accuracy() { sed 's/.*accuracy": \([0-9.]*\).*/\1/' "$1"; }

"$bpcuda" train --data digits --epochs 5 --json --device cpu >cpu 2>out
claim "the digits are trained on the CPU"
"$bpcuda" train --data digits --epochs 5 --json --device sim:0 --out sim.safetensors >sim 2>out
claim "the digits are trained on the device"
awk -v a="$(accuracy cpu)" -v b="$(accuracy sim)" 'BEGIN {exit !(a > 0.9 && a - b < 0.01 && b - a < 0.01)}'
claim "with the same accuracy: $(accuracy cpu), $(accuracy sim)"
"$bpcuda" eval sim.safetensors --data digits --json --device cpu >out 2>&1 &&
    [ "$(accuracy out)" = "$(accuracy sim)" ]
claim "the model it saves is the CPU's to load"

images="train --data digits --epochs 1 --device sim:0 --json --quiet --layers"
"$bpcuda" $images "conv3x3=4 relu" --plans plans >first 2>out && [ "$(wc -l <plans)" -gt 3 ] &&
    grep -q '^bpcuda library plans 1$' plans && cp plans kept &&
    "$bpcuda" $images "conv3x3=4 relu" --plans plans >second 2>out && cmp plans kept >>out 2>&1 &&
    [ "$(accuracy first)" = "$(accuracy second)" ]
claim "what cuDNN chose is kept in a file, and is enough for the next run"
"$bpcuda" $images "conv3x3=4 relu" --plans first >third 2>out || grep -q 'no file of library plans' out &&
    [ ! -s third ] && grep -q accuracy first
claim "another file is refused, and stays"

if [ -n "${BPCUDA_DATA:-}" ]; then
    "$bpcuda" check device --device sim:0 --data "mnist:$BPCUDA_DATA/mnist" >out 2>&1
    claim "the losses of 200 steps on MNIST keep to the CPU's"
    grep '^training' out
fi

# told DIR TEXT: opening the device with plug-ins from DIR fails with this text.
told() {
    BPCUDA_PLUGIN_DIR=$1 "$bpcuda" check device --device sim:0 >out 2>&1
    [ $? -eq 1 ] && grep -qF "$2" out
}
told "$work/none" "libbpcuda-sim.so is not in BPCUDA_PLUGIN_DIR"
claim "a plug-in that is not there is named"
cp "$bpcuda" foreign/libbpcuda-sim.so
told "$work/foreign" "libbpcuda-sim.so" && ! grep -qF "is not in" out
claim "a file that is no plug-in is refused"
LC_ALL=C sed "s/$door/$(printf '%064d' 0)/g" "$plugin" >other/libbpcuda-sim.so
told "$work/other" "belongs to another build of bpcuda"
claim "a plug-in of another build is refused"
exit $failed
