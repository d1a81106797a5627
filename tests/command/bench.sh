#!/bin/sh
# bench.sh BPCUDA SOURCE BUILD WORK PYTHON: `bpcuda bench` and bench/compare.py from outside: what they
# print can be read, has every part, and is of this machine; peers that are not there are named, and
# a wrong command line is told.
bpcuda=$1 source=$2 build=$3 work=$4 python=$5 failed=0
rm -rf "$work"
mkdir -p "$work"
cd "$work" || exit 2
claim() {
    [ $? -eq 0 ] && return
    failed=$((failed + 1))
    echo "FAILED $1"
    sed 's/^/    /' out err 2> /dev/null
}
compare() {
    "$python" "$source/bench/compare.py" --build "$build" --torch-python false "$@" > out 2> err
}

"$bpcuda" bench --json --threads 1 --device cpu > bench.json 2> err && [ ! -s err ] &&
    "$python" - 2> err << 'E'
import json
run = json.load(open("bench.json"))
assert run["bench"] == "machine" and run["device"].endswith("1 thread"), run["device"]
assert 5e7 < run["peak_memory_bytes"] < 1e9 and 0 < run["start_us"] < 1e6
assert len(run["kernels"]) > 10 and len(run["steps"]) == 3
assert all(k["us"] > 0 for k in run["kernels"] if "Adam" not in k["row"])
assert all(0 < s["least_us"] <= s["us"] <= s["most_us"] and s["of_floor"] > 0 for s in run["steps"])
E
claim "bench --json is an object with every part"
"$bpcuda" bench --device nothing > out 2> err
[ $? -eq 1 ] && [ ! -s out ] && grep -q nothing err
claim "bench names a device that is not there"
compare --quick --rows C1,C9 --json compare.json && [ ! -s err ] &&
    grep -q '^without PyTorch: false has none' out && "$python" - 2> err << 'E'
import json
about, *rows = [json.loads(line) for line in open("compare.json")]
assert about["bench"] == "compare" and "PyTorch" in about["missing"]
assert [r["group"] for r in rows] == ["C1"] * 5 + ["C9"] * 2
for row in rows:
    for who in row["by"].values():
        assert 0 < who["least"] <= who["median"] <= who["most"] and who["samples"] > 0
    assert ("ratio" in row) == (len(row["by"]) > 1)
assert all(r["loss"]["bpcuda"] for r in rows[:5])
E
claim "compare.py writes its rows, and says who is missing"
compare --rows C1,C77
[ $? -eq 2 ] && grep -q "C77 is none of C1" err
claim "compare.py names a group that it does not have"
cat > peer << 'E'
#!/bin/sh
# Says that it is there, gets one loss wrong, and ends.
[ "$1" = -c ] && echo 9.9 && exit
while read -r word _; do
    case $word in open) echo ok ;; loss) echo 77 ;; *) echo "enough of this" >&2 && exit 3 ;; esac
done
E
chmod +x peer
"$python" "$source/bench/compare.py" --build "$build" --torch-python ./peer --quick --rows C1,C9 \
    --json compare.json > out 2> err
[ $? -eq 1 ] && grep -q 'PyTorch: void: its loss is 77, ours' out &&
    grep -q 'PyTorch: .*enough of this' out && [ "$(wc -l < compare.json)" -eq 8 ]
claim "a peer whose loss is another is void, and one that ends costs no other row"
compare --json missing/file
[ $? -eq 2 ] && grep -q "missing/file cannot be written" err
claim "compare.py says at once that it cannot write"
echo "$failed failed"
[ "$failed" -eq 0 ]
