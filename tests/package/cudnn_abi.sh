#!/bin/sh
# cudnn_abi.sh CC SOURCE WORK HEADERS...: every value that src/cuda/cudnn_abi.h declares, and every
# prototype, against the cudnn.h of the first of the folders that has one. Status 77: none has.
cc=$1 source=$2 work=$3
shift 3
for headers; do
    [ -f "$headers/cudnn_graph.h" ] && break
    headers=
done
[ -n "$headers" ] || { echo "skipped: there is no cudnn.h here"; exit 77; }
mkdir -p "$work"
ours=$source/src/cuda/cudnn_abi.h
{
    echo '#include <cudnn.h>'
    grep -oE 'CUDNN_[A-Za-z0-9_]+ = [0-9]+' "$ours" |
        sed -E 's/(.*) = (.*)/_Static_assert(\1 == \2, "\1");/'
    sed -n '/^size_t cudnnGetVersion/,/^#ifdef __cplusplus/p' "$ours" | grep -v '^#'
} >"$work/cudnn_abi.c"
values=$(grep -c _Static_assert "$work/cudnn_abi.c")
[ "$values" -gt 100 ] || { echo "only $values values were found"; exit 1; }
"$cc" -std=gnu17 -fsyntax-only -Wno-deprecated-declarations -I"$headers" -I"$source/tests/sim/include" \
    "$work/cudnn_abi.c" && echo "$values values and the prototypes are those of $headers"
