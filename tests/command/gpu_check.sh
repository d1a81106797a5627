#!/bin/sh
# gpu_check.sh SOURCE BUILD WORK: scripts/gpu-check on the simulated device: each phase has run in its
# order or says why not, has measured what it is for, and does not stop the next by failing.
source=$1 build=$2 work=$3 failed=0
fail() {
    failed=$((failed + 1))
    echo "FAILED $1"
}
rm -rf "$work"
mkdir -p "$work"
OUT=$work "$source/scripts/gpu-check" --device sim:0 --build "$build" || fail "the status is $?"
results=$work/gpu-check.jsonl
phases="versions build check bits convolutions products graphs steps wide sanitizer odd peers memory"
[ "$(grep '"part"' "$results" | sed 's/{"phase": "\([a-z]*\)".*/\1/' | uniq | xargs)" = "$phases" ] ||
    fail "the phases and their order"
grep '"status": "not run"' "$results" | grep '"note": ""' && fail "a part that has not run says no reason"
for row in "bits linear relu f32" "linear 8 24-16 dgrad TF32" "node, 100 of a plan" "G1 784-512-10 b128" \
    "G2 4 x 4096 b8192 TF32" "G4 log-softmax 131072" "G3 Adam 512 M" "G7 gather-normalise 128x784"; do
    grep -q "\"row\": \"$row\"" "$results" || fail "no row $row"
done
for key in apart_us fused_us nodes host_us of_copy zero_signs found opened paths; do
    grep -q "\"$key\": " "$results" || fail "nothing says $key"
done
grep -E '"row".*"(failed|not_run)"' "$results" && fail "a row that failed"
[ "$(tail -n 1 "$work/gpu-check.jsonl.txt" | cut -d ' ' -f 3-4)" = "0 failed," ] || fail "the printed end"

"$source/scripts/gpu-check" --device sim:0 --build "$build" --phases products,odd,memory --limit 1 \
    --out "$work/cut.jsonl" > "$work/cut.txt"
[ $? -eq 1 ] && grep -q '"phase": "odd".*"failed".*over 1 s' "$work/cut.jsonl" &&
    grep -q '"phase": "memory"' "$work/cut.jsonl" || fail "a phase that is cut off, and the next one"
echo "$failed failed"
[ $failed -eq 0 ]
