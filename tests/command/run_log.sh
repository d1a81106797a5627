#!/bin/sh
# run_log.sh PLOT_CALLS WORK: the log of a run as it is written: lines, what was there before, what
# cannot be written.
calls=$1 work=$2
. "$(dirname "$0")/claims.sh"

log() { "$calls" log "$@" > out 2> err; }
fails() { ! log "$@" && [ "$(wc -l < err)" -eq 1 ]; }
lines() { [ "$(wc -l < "$1")" -eq "$2" ]; }

log new a.jsonl 3 && lines a.jsonl 5 && [ ! -s err ]
claim "a line for the run, for each epoch and for the result"
head -n 1 a.jsonl | grep -qE '^\{"run": \{"version": "[0-9.]+", "time": [0-9]{10}(\.[0-9]{3})?, "device": '
claim "the first line says what runs, and when"
head -n 1 a.jsonl | grep -qF '"cpu \"quoted\\ \u0009'"$(printf '\303\251?')"'", "seed": 9007199254740991, '
claim "texts are quoted, what is no UTF-8 is replaced, whole numbers have all their digits"
values='"loss": 2, "accuracy": 0.5, "valid_loss": 2.5, "valid_accuracy": 0.25, "lr": 0.005, "samples_per_second": 1001'
sed -n 2p a.jsonl | grep -qE '^\{"time": [0-9.]+, "epoch": 1, "step": 10, '"$values"'\}$'
claim "an epoch has the keys in their order"
sed -n 4p a.jsonl | grep -qF '"epoch": 3, "step": 30, "loss": null, '
claim "NaN is null"
[ "$(tail -n 1 a.jsonl)" = '{"result": {"test_loss": 0.3}}' ]
claim "the last line is the result"

log new a.jsonl 1 && lines a.jsonl 3
claim "a new log takes the place of an old one"
log add a.jsonl 2 && lines a.jsonl 7 && [ "$(grep -c '"run"' a.jsonl)" -eq 2 ]
claim "a run that goes on is written behind"
printf '{"time": 1, "epo' >> a.jsonl
log add a.jsonl 1 && lines a.jsonl 11 && sed -n 8p a.jsonl | grep -qx '{"time": 1, "epo' && sed -n 9p a.jsonl | grep -q '^{"run"'
claim "and behind a line that was cut a new one begins"
log add fresh.jsonl 1 && lines fresh.jsonl 3
claim "what is added to need not be there"
ln -s behind.jsonl link.jsonl && log new link.jsonl 1 && [ -L link.jsonl ] && lines behind.jsonl 3
claim "a link stays one"
mkfifo pipe
cat pipe > received &
log new pipe 2 && wait $! && lines received 4
claim "a pipe's reader gets the lines"

echo kept > there.jsonl
log new there.jsonl 0 && grep -qx kept there.jsonl && log new none.jsonl 0 && [ ! -e none.jsonl ]
claim "without a line, what was there stays, and nothing new is left"
for path in /nowhere/a.jsonl . "" there.jsonl/a; do
    fails new "$path" 1 && grep -qF "$path: cannot be written: " err
    claim "what cannot be written is told: \"$path\""
done
if [ -w /dev/full ]; then
    fails new /dev/full 2 && grep -q '/dev/full: cannot be written: No space left' err
    claim "a full disk is told"
fi
if [ "$(id -u)" -ne 0 ]; then
    chmod a-w there.jsonl
    fails add there.jsonl 1 && grep -q 'there.jsonl: cannot be written: Permission denied' err
    claim "a file that may not be written is told"
fi
finish
