#!/bin/sh
# docs.sh SOURCE BUILD WORK CXX CC...: the code that the pages show. Each block of README.md, docs/ and
# docs/guide/ that is marked c is compiled as it stands, with the umbrella header before it where it
# includes nothing; one with a main is linked and run as well, where data/ is the repository's. A block marked c++ is a kernel file, compiled
# as the simulated device's are. One whose first line says "not compiled" is left alone.
source=$1 build=$2 work=$3 cxx=$4 failed=0 compiled=0 ran=0 left=0
shift 4
rm -rf "$work"
mkdir -p "$work"
ln -s "$source/data" "$work/data"
cd "$source" || exit 2
awk -v work="$work" '
    FNR == 1 {page = FILENAME; gsub(/[^a-zA-Z0-9]/, "_", page); out = ""}
    /^```/ && out {close(out); out = ""; next}
    /^```c$/ {out = work "/" page FNR ".c"}
    /^```c[+][+]$/ {out = work "/" page FNR ".cu"}
    /^```c/ && out {printf "#line %d \"%s\"\n", FNR + 1, FILENAME > out; next}
    out {print > out}' README.md docs/*.md docs/guide/*.md
fail() {
    failed=$((failed + 1))
    echo "FAILED $1"
}
for block in "$work"/*.c "$work"/*.cu; do
    [ -e "$block" ] || continue
    if sed -n 2p "$block" | grep -q 'not compiled'; then
        left=$((left + 1))
        continue
    fi
    compiled=$((compiled + 1))
    grep -q '^#include' "$block" || sed -i '1i #include <bpcuda/bpcuda.h>' "$block"
    if [ "${block##*.}" = cu ]; then
        [ -z "$cxx" ] && echo "not compiled, there is no C++ compiler: $block" && continue
        "$cxx" -std=c++17 -xc++ -Wall -Wextra -Werror -Wno-unknown-pragmas \
            -Wno-missing-field-initializers -DBPI_SIM -Itests/sim \
            -Itests/sim/include -Ikernels -Isrc -Iinclude -c "$block" -o "$block.o" || fail "$block"
    elif grep -qE '^int main\(' "$block"; then
        ran=$((ran + 1))
        "$@" -std=c11 -D_DEFAULT_SOURCE -pthread -Wall -Wextra -Wpedantic -Werror -Iinclude "$block" \
            -o "$block.exe" -L"$build" -lbpcuda -lm -Wl,-rpath,"$build" && (cd "$work" && "$block.exe") || fail "$block"
    else
        "$@" -std=gnu17 -Wall -Wextra -Werror -Wno-unused-function -DBPI_F64=0 -DBPI_LEVEL=generic \
            -DBPI_VECTOR_BYTES=16 -Isrc -Iinclude -c "$block" -o "$block.o" || fail "$block"
    fi
done
echo "$compiled blocks compiled, $ran of them run, $left say that they are not compiled, $failed failed"
[ $failed -eq 0 ] && [ $ran -gt 0 ] && [ $compiled -gt 3 ]
