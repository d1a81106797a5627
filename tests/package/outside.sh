#!/bin/sh
# outside.sh BUILD SOURCE WORK: installs the build into WORK/prefix, builds the project SOURCE against
# it, and runs what it makes. Nothing may remember the build directory.
set -e
build=$1 source=$2 work=$3
rm -rf "$work"
cmake --install "$build" --prefix "$work/prefix" > /dev/null
cmake -S "$source" -B "$work/build" -DCMAKE_PREFIX_PATH="$work/prefix" > "$work/log" 2>&1 ||
    { cat "$work/log"; exit 1; }
cmake --build "$work/build" > "$work/log" 2>&1 || { cat "$work/log"; exit 1; }
for program in bpcuda_c bpcuda_static_c bpcuda_cpp bpcuda_static_cpp; do
    "$work/build/$program"
done
if grep -rl "$build" "$work/prefix/lib"*/cmake "$work/prefix/lib"*/pkgconfig "$work/prefix/include"; then
    echo "FAILED: an installed file names the build directory"
    exit 1
fi
