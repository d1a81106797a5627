#!/bin/sh
# adding_an_op.sh SOURCE WORK CC: the op that docs/adding-an-op.md adds, added. A copy of the sources
# gets the blocks of the page where the page says they go; in all they may be 12 lines. What follows
# from them (rows, golden values, which PyTorch made: adding_an_op.txt) must pass.
source=$1 work=$2 cc=$3 lines=0
rm -rf "$work"
mkdir -p "$work/tools" "$work/tests"
cd "$work" || exit 2
cp -r "$source/src" "$source/include" .
cp -r "$source/tools/check" tools/
cp -r "$source/tests/support" "$source/tests/plain" tests/

# block KIND: the lines of the first block of the page that is marked so.
block() {
    awk -v mark="\`\`\`$1" '$0 == mark && !done {on = 1; next} /^```/ && on {on = 0; done = 1} on' \
        "$source/docs/adding-an-op.md"
}
# into FILE BEFORE KIND: the block, in front of the first line that begins so.
into() {
    block "$3" > block
    [ -s block ] || { echo "FAILED: the page has no block that is marked $3"; exit 1; }
    lines=$((lines + $(wc -l < block)))
    awk -v before="$2" 'index($0, before) == 1 && !done {
        while ((getline line < "block") > 0) print line
        done = 1
    } {print}' "$1" > changed && mv changed "$1"
}
into src/door/unary.def "#undef BPI_UNARY" def
into include/bpcuda/elementwise.h "BP_API bp_tensor *bp_exp" c
lines=$((lines + $(block python | wc -l)))
[ $lines -le 12 ] || { echo "FAILED: an op takes $lines lines"; exit 1; }

# The library, one instruction level of it, and the readers of the table of cases.
cat > compile.sh << END
cc="$cc" flags="-std=gnu17 -O1 -ffp-contract=off -fno-math-errno -fno-trapping-math -fexceptions
    -Iinclude -Isrc -Itools/check -Itests/support -DBPI_HAVE_X86_LEVELS=0 -DBPI_HAVE_ZLIB=0
    -DBPI_DOOR=\"\" -DBPI_LIBDIR=\"\" -DBPI_GOLDEN=\"\" -DBPI_LEVEL=generic -DBPI_VECTOR_BYTES=16"
for file; do
    case \$file in
    src/cpu/device.c | src/cpu/pool.c | src/[!c]* | src/core/* | t*)
        \$cc \$flags -c "\$file" -o "\$(echo "\$file" | tr / _).o" || exit 255 ;;
    *)
        for f64 in 0 1; do
            \$cc \$flags -DBPI_F64=\$f64 -c "\$file" -o "\$(echo "\$file" | tr / _).\$f64.o" || exit 255
        done ;;
    esac
done
END
find src tools tests/support -name '*.c' ! -path 'src/cuda/*' > sources
echo tests/plain/test_cases.c >> sources
xargs -P 4 -n 4 sh compile.sh < sources && $cc ./*.o -o test_cases -lpthread -ldl -lm || exit 1
BPCUDA_GOLDEN=$source/tests/package/adding_an_op.txt ./test_cases complete --only=softsign truth \
    gradients second determinism golden || exit 1
echo "softsign: $lines lines"
