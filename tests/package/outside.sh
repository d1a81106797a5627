#!/bin/sh
# outside.sh BUILD SOURCE WORK CC PKG-CONFIG: installs the build into a prefix, moves the tree, builds the
# project SOURCE against it through find_package, then its two programs through pkg-config, shared and
# static, and runs what it made. Nothing may remember the build directory or the first prefix.
set -e
build=$1 source=$2 work=$3 cc=$4 pkg_config=$5
rm -rf "$work"
cmake --install "$build" --prefix "$work/first" > /dev/null
prefix="$work/moved"
mv "$work/first" "$prefix"
quietly() { "$@" > "$work/log" 2>&1 || { cat "$work/log"; exit 1; }; }
quietly cmake -S "$source" -B "$work/build" -DCMAKE_PREFIX_PATH="$prefix"
quietly cmake --build "$work/build"
for program in bpcuda_c bpcuda_static_c bpcuda_cpp bpcuda_static_cpp; do
    "$work/build/$program"
done

pc=$(find "$prefix" -name bpcuda.pc)
lib=$(dirname "$(dirname "$pc")")
export PKG_CONFIG_PATH="${pc%/*}"
flags() { "$pkg_config" "$@" bpcuda; }
# shellcheck disable=SC2046
quietly "$cc" "$source/outside.c" -o "$work/shared" $(flags --cflags --libs) -lm -Wl,-rpath,"$lib"
"$work/shared"
# The archive, and what it wants by the same file's word; then nothing of the shared one is left.
mkdir "$work/archive"
cp "$lib/libbpcuda.a" "$work/archive"
libs=$(flags --static --libs | sed "s|-L[^ ]*|-L$work/archive|")
# shellcheck disable=SC2046,SC2086
quietly "$cc" "$source/outside.c" -o "$work/static" $(flags --cflags) $libs
"$work/static"
if command -v python3 > /dev/null; then # the module finds the library it was installed with
    PYTHONPATH="$prefix/share/bpcuda" python3 -B -c 'import bpcuda; print(bpcuda.Context("cpu").device)'
fi
[ "$(flags --modversion)" = "$("$prefix/bin/bpcuda" --version | sed 's/bpcuda //')" ]
if grep -rlE "$build|$work/first" "$lib/cmake" "$lib/pkgconfig" "$prefix/include"; then
    echo "FAILED: an installed file names the build directory, or where the tree was first"
    exit 1
fi
