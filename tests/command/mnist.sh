#!/bin/sh
# mnist.sh BPCUDA: two epochs on the real MNIST in $BPCUDA_DATA/mnist reach 97 % on its test set;
# skipped, with the reason, where it is not.
if [ ! -d "${BPCUDA_DATA:-}/mnist" ]; then
    echo "skipped: BPCUDA_DATA names no folder that holds mnist/"
    exit 77
fi
result=$("$1" train --data "mnist:$BPCUDA_DATA/mnist" --epochs 2 --json) || exit 1
echo "$result"
echo "$result" | grep -qE '"test_accuracy": 0\.9[789]'
