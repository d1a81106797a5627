#!/bin/sh
# runs.sh BPCUDA WORK: a run that is stopped, goes on, is shown.
bpcuda=$1 work=$2
. "$(dirname "$0")/claims.sh"
whole() { run 0 train --data digits --layers "32 relu dropout=0.1" --epochs 40 --seed 5 --val 0.1 --quiet --json "$@"; }
whole --out whole --checkpoint whole.ckpt
claim "a run with a checkpoint"
for signal in INT TERM; do
    rm -f part part.ckpt
    "$bpcuda" train --data digits --layers "32 relu dropout=0.1" --epochs 1000000 --seed 5 --val 0.1 --json \
        --out part --checkpoint part.ckpt --schedule constant > out 2> err &
    sleep 1
    kill -$signal $!
    wait $!
    [ $? -eq 130 ] && [ "$(value stopped out)" = true ] && [ "$(wc -l < out)" -eq 1 ] && [ -s part ] && [ -s part.ckpt ] &&
        grep -q -- '--resume' err
    claim "SIG$signal ends the step, writes model and checkpoint, says so, and is status 130"
done
run 0 eval part --data digits
claim "what it wrote is a model"
"$bpcuda" train --data digits --layers "32 relu dropout=0.1" --epochs 40 --seed 5 --val 0.1 --json --out part \
    --checkpoint cut.ckpt --checkpoint-every 10 > out 2> err &
while [ ! -e cut.ckpt ]; do :; done
kill -KILL $!
wait $!
run 0 train --data digits --layers "32 relu dropout=0.1" --epochs 40 --seed 5 --val 0.1 --json --out part --checkpoint cut.ckpt --resume &&
    cmp -s part whole
claim "a run that was killed goes on to the same bytes"
run 0 train --data digits --layers "32 relu dropout=0.1" --epochs 40 --seed 5 --val 0.1 --json --out part --checkpoint cut.ckpt --resume &&
    cmp -s part whole
claim "one that was at its end stays there"
run 0 train --data digits --epochs 3 --val 0.1 --log log.jsonl --tensorboard board --quiet && [ "$(wc -l < log.jsonl)" -eq 5 ] &&
    [ "$(value epoch log.jsonl | sed -n 4p)" = 3 ] && grep -q '^{"run": {"version": ' log.jsonl && grep -q '^{"result": {"test_accuracy": ' log.jsonl &&
    [ "$(ls board | wc -l)" -eq 1 ]
claim "a log has what run it is, a line an epoch and the result; event files are in their folder"
run 0 plot log.jsonl --ascii && grep -q 'accuracy' out && grep -q 'best validation' out
claim "it is drawn in the terminal"
run 1 plot --kind runs /dev/zero --ascii && grep -q 'is a device, no log' err && run 1 search --ranges /dev/zero && grep -q 'or no text' err
claim "what has no end is no log, and no list of ranges"
run 1 train --data digits --epochs 3 --log nowhere/x && quiet out && grep -q 'nowhere/x' err
claim "a log that cannot be written is told"
if [ "$(id -u)" = 0 ] && mkdir small && mount -t tmpfs -o size=60k none small 2> /dev/null; then
    for args in "--log small/log" "--tensorboard small" "--checkpoint small/c --checkpoint-every 500 --checkpoint-keep 50"; do
        rm -rf small/* kept
        # shellcheck disable=SC2086
        run 1 train --data digits --layers 4 --epochs 2000 --out kept --json $args && grep -q 'the run goes on' err &&
            grep -q 'No space left' err && [ "$(value epochs out)" = 2000 ] && [ -s kept ]
        claim "a full disk costs what lies there, not the model: $args"
    done
    umount small
fi
run 1 train --data digits --epochs 3 --tensorboard log.jsonl && quiet out && grep -q 'log.jsonl' err
claim "and so is a folder that is none"
run 0 plot whole --data digits --ascii && grep -q 'a row is a class' out
claim "a confusion table is text"
run 2 plot whole --data digits && grep -q -- '--out' err
claim "plot says what it wants"
run 1 plot whole --data digits --kind regions -o r.svg && [ ! -e r.svg ]
claim "regions are of two inputs"
if command -v gnuplot > /dev/null; then
    for args in "log.jsonl" "whole --data digits" "whole --kind filters"; do
        # shellcheck disable=SC2086
        run 0 plot $args -o picture.svg && grep -q '<svg' picture.svg && run 0 plot $args -o picture.png && [ -s picture.png ]
        claim "plot $args"
    done
    run 2 plot log.jsonl -o picture.gif && grep -q 'picture.gif' err && [ ! -e picture.gif ]
    claim "other pictures are not known"
fi
for kind in onnx c safetensors npz; do
    run 0 export whole -o "m.$kind" && [ -s "m.$kind" ]
    claim "export writes $kind"
done
run 2 export whole -o m.txt && grep -q 'm.txt' err && [ ! -e m.txt ]
claim "other exports are not known"
cp whole w.safetensors && ln -s w.safetensors l.safetensors
for path in w.safetensors ./w.safetensors ../command_runs/w.safetensors l.safetensors; do
    [ -e "$path" ] || continue
    run 2 export w.safetensors -o $path && cmp -s whole w.safetensors
    claim "an export does not take the model's place: $path"
done
run 2 plot log.jsonl -o log.jsonl && [ "$(wc -l < log.jsonl)" -eq 5 ]
claim "nor a picture the log's"
run 2 export whole -o whole && run 0 eval whole --data digits
claim "an export does not take the model's place"
for args in "--layers 32;tanh;dropout=0.1:layers" "--layers 32;relu;dropout=0.2:layers" "--normalize none:normalisers" \
    "--batch 32:batch" "--l2 0.1:l2" "--val 0.2:rows"; do
    # shellcheck disable=SC2046
    (IFS=:; set -- $args; IFS=' '; option=${1%% *}; value=$(echo "${1#* }" | tr ';' ' ')
     run 1 train --data digits --layers "32 relu dropout=0.1" --epochs 41 --seed 5 --val 0.1 --checkpoint cut.ckpt --resume --out other "$option" "$value" &&
         grep -q "$2" err && [ ! -e other ])
    claim "another run's checkpoint is refused: $args"
done
run 0 train --data digits --layers "32 relu dropout=0.1" --epochs 3 --seed 5 --val 0.1 --checkpoint cut.ckpt --resume && grep -q 'all --epochs are done' err
claim "that nothing is left to do is said"
run 0 train --data digits --epochs 1 --checkpoint none.ckpt --resume && grep -q 'there is no none.ckpt yet' err
claim "that there is nothing to go on from is said"
run 1 train --data digits --layers "16 relu" --epochs 40 --seed 5 --val 0.1 --checkpoint cut.ckpt --resume && [ "$(wc -l < err)" -eq 1 ]
claim "another run's checkpoint is refused"
run 0 train --data digits --epochs 3 --quiet && quiet err
claim "--quiet is quiet"
run 0 train --data digits --epochs 1000 --layers "" && [ "$(grep -c '^epoch' err)" -le 20 ] && ! grep -q "$(printf '\r')" err
claim "elsewhere than in a terminal there are at most twenty plain lines"
if command -v script > /dev/null; then
    TERM=xterm script -qec "stty cols 70; $bpcuda train --data digits --epochs 2000 --layers 64" /dev/null > screen 2>&1
    tr '\r' '\n' < screen | grep -q 'epoch .*left' && ! tr '\r' '\n' < screen | grep -q '^epoch .*samples.s .* s$'
    claim "in a terminal there is a bar"
    ! tr '\r' '\n' < screen | grep '^epoch' | sed 's/.\[[0-9;]*[mK]//g' | LC_ALL=C.UTF-8 grep -qE '.{70}'
    claim "which fits its width"
    NO_COLOR=1 TERM=xterm script -qec "$bpcuda train --data digits --epochs 2000 --layers 64" /dev/null > screen 2>&1
    ! grep -q "$(printf '\033\[[0-9]*m')" screen
    claim "NO_COLOR is heard"
fi
finish
