#!/bin/sh
# cudnn_programs.sh PROGRAM ANSWERS DEVICE.json fake LIBRARY: what our fake cuDNN says to right
# and wrong programs of descriptors is what ANSWERS has: the real library's answer, or, behind a |,
# ours.
# cudnn_programs.sh PROGRAM ANSWERS DEVICE.json real FOLDER...: the same of a real library, of
# $BPCUDA_CUDNN_DIR or the first folder that has one. Skipped where there is none, where it is older
# than 9.8, or wants a driver that is not there: installing it takes 0.5 GB
# (pip: nvidia-cudnn-cu13==9.26.*).
program=$1 answers=$2 device=$3 kind=$4
shift 4
library=$1
if [ "$kind" = real ]; then
    library=
    for folder in ${BPCUDA_CUDNN_DIR:+"$BPCUDA_CUDNN_DIR"} "$@"; do
        [ -z "$library" ] && [ -e "$folder/libcudnn_graph.so.9" ] &&
            library=$folder/libcudnn_graph.so.9
    done
    if [ -z "$library" ]; then
        echo "skipped: no libcudnn_graph.so.9 in $*; BPCUDA_CUDNN_DIR says where one is"
        exit 77
    fi
    engines=$(dirname "$library")/libcudnn_engines_runtime_compiled.so.9
    if lacks=$(ldd "$engines" | grep 'not found'); then # from 9.28 on it is linked to the driver
        echo "skipped: $engines:" $lacks
        exit 77
    fi
    wanted='s/ *|.*//'
else
    wanted='s/:.* | /: /'
fi
folder=$(mktemp -d) || exit 1
trap 'rm -rf "$folder"' EXIT
"$program" "$library" "$device" >"$folder/said" 2>&1
status=$?
[ $status = 77 ] && echo "skipped: $library: $(cat "$folder/said")" && exit 77
sed "$wanted" "$answers" >"$folder/wanted"
diff "$folder/wanted" "$folder/said" || exit 1
echo "ok: $library: $(wc -l <"$answers") answers, in $(grep -c '|' "$answers") our own is stricter"
