#!/bin/sh
# floors.sh NM SOURCE OBJECTS...: every reference between files of src points down the floors of
# floors.txt. OBJECTS are folders of object files; SOURCE is the folder that holds src.
nm=$1 source=$2
shift 2
list=$(dirname "$0")/floors.txt
{
    grep -v '^#' "$list" | sed 's/^/floor /'
    find "$@" -name '*.o' | while read -r object; do
        file=$(echo "$object" | sed 's|.*/src/||; s|\.[a-z]*\.o$||')
        [ -f "$source/src/$file.c" ] || continue # of a source that is gone
        echo "file $file"
        "$nm" "$object" | awk 'NF >= 2 {print "symbol", $(NF - 1), $NF}'
    done
    cd "$source/src" && find . -name '*.[ch]' | while read -r file; do
        sed -n "s|^#include \"\([a-z_]*\)/[a-z_]*\.h\".*|include $(echo "$file" | cut -d/ -f2) \1|p" "$file"
    done
} | awk '
function floor_of(file) { return file in floor ? floor[file] : floor[substr(file, 1, index(file, "/") - 1)] }
function fail(text) { if (!(text in said)) print "FAILED: " text; said[text] = 1; status = 1 }
function check(from, to, what,    a, b) {
    a = floor_of(from); b = floor_of(to)
    if (!a || !b) fail((a ? to : from) " stands on no floor of floors.txt")
    else if (b > a) fail(from " refers up to " to ": " what)
    else if (a != b && (rests[a] ? rests[a] != name[b] : rests[b] && !(from ~ /^open/)))
        fail(from " must not rest on " to ": " what)
}
$1 == "floor" { floor[$2] = ++n; name[n] = $2; if ($3 == "only") rests[n] = $4
                room = $2; sub(/\/.*/, "", room); highest[room] = n; next }
$1 == "file" { file = $2; next }
$1 == "include" { includes[$2 " " $3]; next }
$2 == "U" { uses[file " " $3]; next }
$2 ~ /[TDBRVW]/ { home[$3] = file }
END {
    for (use in uses) {
        split(use, part, " ")
        if (part[2] in home && home[part[2]] != part[1]) { check(part[1], home[part[2]], part[2]); arrows++ }
    }
    for (use in includes) {
        split(use, part, " ")
        if (!(part[1] in highest && part[2] in highest) || part[1] == part[2]) continue
        a = highest[part[1]]; b = highest[part[2]]
        if (b > a || (rests[a] && part[2] != rests[a]))
            fail(part[1] " includes a header of " part[2])
    }
    if (arrows < 100) fail("only " arrows + 0 " references seen: is this the right folder?")
    if (!status) print arrows " references, none points up"
    exit status
}'
