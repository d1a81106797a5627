#!/bin/sh
# floors.sh NM SOURCE LEAST OBJECTS...: every reference between files of src, and of kernels, points
# down the floors of floors.txt. OBJECTS are folders of object files; SOURCE is the folder that holds
# src; LEAST: so many references must be seen.
nm=$1 source=$2 least=$3
shift 3
list=$(dirname "$0")/floors.txt
{
    grep -v '^#' "$list" | sed 's/^/floor /'
    find "$@" -name '*.o' | while read -r object; do
        file=$(echo "$object" | sed 's|.*/src/||; s|.*/kernels/|kernels/|; s|\.[a-z]*\.o$||')
        [ -f "$source/src/$file.c" ] || [ -f "$source/$file.cu" ] || continue # its source is gone
        echo "file $file"
        "$nm" "$object" | awk 'NF >= 2 {print "symbol", $(NF - 1), $NF}'
    done
    cd "$source" && find src kernels -name '*.[ch]*' | while read -r file; do
        room=$(echo "$file" | sed 's|^src/||; s|/.*||')
        sed -n "s|^#include \"\([a-z_]*\)/[a-z_]*\.h\".*|include $room \1|p" "$file"
    done
} | awk -v least="$least" '
function floor_of(file) { return file in floor ? floor[file] : floor[room_of(file)] }
function room_of(file) { return substr(file, 1, index(file "/", "/") - 1) }
function fail(text) { if (!(text in said)) print "FAILED: " text; said[text] = 1; status = 1 }
function may(a, room) { return index(rests[a], " " room " ") }
function check(from, to, what,    a, b) {
    a = floor_of(from); b = floor_of(to)
    if (!a || !b) fail((a ? to : from) " stands on no floor of floors.txt")
    else if (b > a) fail(from " refers up to " to ": " what)
    else if (a != b && (rests[a] ? !may(a, room_of(to)) : rests[b] && !(from ~ /^open/)))
        fail(from " must not rest on " to ": " what)
}
$1 == "floor" { floor[$2] = ++n; highest[room_of($2)] = n
                if ($3 == "only") { rests[n] = $0 " "; sub(/.* only /, " ", rests[n]) }
                next }
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
        if (rests[a] ? !may(a, part[2]) : b > a)
            fail(part[1] " includes a header of " part[2])
    }
    if (arrows < least) fail("only " arrows + 0 " references seen: is this the right folder?")
    if (!status) print arrows " references, none points up"
    exit status
}'
