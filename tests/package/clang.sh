#!/bin/sh
# clang.sh SOURCE WORK CLANG: the library and the command under clang's address sanitizer, whose runtime is
# in the program alone. Status 77 where clang has none.
source=$1 work=$2 clang=$3
mkdir -p "$work"
echo 'int main(void) {return 0;}' | "$clang" -fsanitize=address -xc - -o "$work/probe" 2> /dev/null || {
    echo "clang has no address sanitizer here"
    exit 77
}
quietly() { "$@" > "$work/log" 2>&1 || { tail -n 30 "$work/log"; exit 1; }; }
CC=$clang quietly cmake -S "$source" -B "$work/build" -G Ninja -DCMAKE_BUILD_TYPE=Debug -DBPCUDA_WERROR=ON \
    -DBPCUDA_TESTS=OFF -DBPCUDA_BENCH=OFF -DBPCUDA_SIM=OFF -DBPCUDA_CUDA=OFF \
    -DCMAKE_C_FLAGS=-fsanitize=address,undefined
quietly cmake --build "$work/build" --target bpcuda_command
"$work/build/bpcuda" train --epochs 1
