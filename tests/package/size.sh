#!/bin/sh
# size.sh STRIP SHARED MOST: the library as it is installed, without symbols, has at most MOST bytes.
copy=$(mktemp) && trap 'rm -f "$copy"' EXIT && "$1" -o "$copy" "$2" || exit 1
bytes=$(wc -c <"$copy")
echo "$bytes bytes of at most $3"
[ "$bytes" -le "$3" ]
