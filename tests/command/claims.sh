# What the tests of the command share; sourced with $bpcuda and $work set.
failed=0 n=0
rm -rf "$work"
mkdir -p "$work"
cd "$work" || exit 2

# claim TEXT: the status of the command before decides.
claim() {
    status=$?
    n=$((n + 1))
    [ $status -eq 0 ] && return
    failed=$((failed + 1))
    echo "FAILED $1"
    sed 's/^/    /' out err 2> /dev/null
}
# run STATUS ARGS...: runs the command into the files out and err.
run() {
    want=$1
    shift
    "$bpcuda" "$@" > out 2> err
    [ $? -eq "$want" ]
}
quiet() { [ ! -s "$1" ]; }
# value KEY FILE: of a JSON object on one line.
value() { sed "s/.*\"$1\": \\([^,}]*\\).*/\\1/" "$2"; }
at_least() { awk "BEGIN { exit !($1 >= $2) }"; }
finish() {
    echo "$n claims, $failed failed"
    [ $failed -eq 0 ]
}
