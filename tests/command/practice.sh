#!/bin/sh
# practice.sh BPCUDA WORK: means of weights, early stopping, ensembles and searches, on the command line.
bpcuda=$1 work=$2
. "$(dirname "$0")/claims.sh"
small() { run 0 train --data digits --layers "32 tanh" --epochs 20 --seed 2 --quiet "$@"; }
# differ FILE FILE: two models are not the same
differ() { ! cmp -s "$1" "$2"; }

small --out raw && small --average 0.98 --out mean && differ raw mean && small --average 1 --average-from 15 --out late &&
    differ late raw && differ late mean
claim "the model that is saved is the mean of the weights"
small --average 0.98 --out again && cmp -s mean again
claim "and the same again"
small --average 0.98 --val 0.2 --json --out best --checkpoint c && cp best whole && small --average 0.98 --val 0.2 --out best \
    --checkpoint c --resume && cmp -s best whole
claim "a run with a mean is at its end where it goes on"
small --val 0.3 --epochs 500 --stop-gl 2 --json && [ "$(value stopped_by out)" = '"stop_gl"' ] && [ "$(value epochs out)" -lt 500 ]
claim "the generalisation loss ends a run, and is named"
small --val 0.3 --epochs 500 --stop-up 2 --stop-strip 3 && grep -q 'ended by --stop-up' out
claim "rises over strips too"
run 2 train --stop-pq 1 && grep -q -- '--stop-pq is of --val' err
claim "stopping wants rows that validate"

small --ensemble 3 --out bag && run 0 eval bag --data digits --json && accuracy=$(value accuracy out) && at_least "$accuracy" 0.95
claim "an ensemble is one file, which eval reads"
small --ensemble 3 --out bag2 && cmp -s bag bag2
claim "and it is the same again"
run 0 inspect bag && grep -q 'an ensemble of 3: classes' out && grep -q '2.layer1.weight' out && run 0 inspect bag --json &&
    [ "$(value members out)" = 3 ]
claim "inspect says of how many models"
run 0 predict bag --data digits && cut -d, -f1 out > answers && run 0 predict bag --data digits --spread &&
    cut -d, -f1 out | cmp -s - answers && awk -F, '$2 < 0 || $2 > 0.6 { bad = 1 } $2 > 0.05 { some++ } END { exit bad || some < 5 }' out
claim "predict tells how far they are apart"
run 0 predict bag --data digits --spread --probabilities --json && grep -q '^{"predictions": \[{"answer": \[[^]]*\], "spread": \[' out
claim "of all probabilities, as JSON"
run 2 predict raw --data digits --spread && grep -q 'is one model, not an ensemble' err
claim "one model has no spread"
run 1 export bag -o bag.onnx && grep -q 'an ensemble of 3' err && [ ! -e bag.onnx ] && run 2 check model bag && grep -q 'an ensemble of 3' err
claim "what is for one model says so"
run 2 train --ensemble 2 --log log && grep -q 'log is of one run' err && [ ! -e log ]
claim "a log is of one run"
run 2 train --ensemble 2 --loss tanh && run 2 train --ensemble 2 --optimizer lbfgs && quiet out
claim "what has no mean, or no seeds, is told"
"$bpcuda" train --data digits --layers "32 tanh" --epochs 3000 --schedule constant --ensemble 1000 --out cut --quiet --json > out 2> err &
sleep 2
kill -INT $!
wait $!
[ $? -eq 130 ] && [ "$(value stopped out)" = true ] && run 0 eval cut --data digits
claim "an ensemble that is stopped is of the models that were finished"

tried() { run 0 search lr=0.0005..0.05 batch=16..200 'layers=16 relu|32 tanh' --epochs 10 "$@"; }
tried --trials 6 --out found && [ "$(wc -l < out)" -eq 8 ] && awk 'NR > 1 && NR < 8 { if ($2 < last) exit 1; last = $2 }' out
claim "a search is a table, sorted"
line=$(sed -n 's/^the best again: bpcuda //p' err)
eval "run 0 $line --quiet --out again" && cmp -s found again
claim "whose best can be made again by the line that is told"
tried --trials 6 --json --quiet && quiet err && [ "$(wc -l < out)" -eq 7 ] && head -3 out > three && tried --trials 3 --json --quiet &&
    head -3 out | sed 's/"seconds": [^,}]*//' > a && sed 's/"seconds": [^,}]*//' three | cmp -s - a && tried --trials 1 --first 3 --json --quiet &&
    [ "$(value valid_loss out | head -1)" = "$(value valid_loss three | tail -1)" ]
claim "a trial is the same in a longer search, and in one that goes on"
printf '# what to try\nlr=0.001..0.01 # a rate\n\n  optimizer=adam|sgd\n' > ranges
run 0 search --ranges ranges --trials 2 --epochs 2 --json --quiet && grep -q '"optimizer": "' out
claim "ranges come from a file"
cp ranges kept
run 2 search --ranges ranges --out ./ranges && grep -q 'ranges is what --ranges reads' err && cmp -s ranges kept
claim "which is not where the best goes"
run 2 search 'layers=8 tanh|8 tanhh' --trials 12 --epochs 2 --out none && grep -q 'layers: word 2 is "tanhh"' err && ! grep -q 'trial' err &&
    run 2 search 'schedule=cosine|cosin' --trials 1 && quiet out && [ ! -e none ]
claim "a text of a range is read before the first trial"
run 0 search 'batch-per-class=1|2000' --trials 12 --epochs 2 && grep -q 'failed: trainer_run: ' out
claim "a trial that cannot be trained is a row of the table"
for args in "" lr lr=two lr=2..1 lr=1..99 seed=1..2 data=digits 'optimizer=adam|madam' 'optimizer=adam|lbfgs' "lr=.1..1 --optimizer lm" batch=1.5..3 "lr=.1..1 lr=.1..1" "lr=.1..1 --val 0"; do
    # shellcheck disable=SC2086
    run 2 search $args --trials 1 && quiet out && [ "$(wc -l < err)" -eq 1 ]
    claim "search $args is one line on stderr and status 2"
done
run 1 search lr=.01..1 --ranges nowhere && grep -q nowhere err && run 1 search lr=.01..1 --trials 1 --out /nowhere/x && quiet out
claim "files are looked at first"
"$bpcuda" search epochs=2..3000 --schedule constant --trials 100000 --json --quiet --out found > out 2> err &
sleep 2
kill -INT $!
wait $!
[ $? -eq 130 ] && [ "$(tail -n 1 out | sed 's/.*"stopped": //')" = 'true}' ] && run 0 eval found --data digits
claim "a search that is stopped keeps its best"
run 0 search 'optimizer=sgd|adam' --trials 12 --epochs 2 --json --quiet --out two && [ "$(grep -c '"as": ' out)" -eq 10 ] &&
    [ "$(grep '"optimizer": "sgd"' out | sed 's/.*"valid_loss": \([^,]*\),.*/\1/' | sort -u | wc -l)" -eq 1 ] && run 0 search 'optimizer=sgd|adam' --trials 5 --epochs 2 &&
    [ "$(grep -c 'as trial' out)" -eq 3 ]
claim "a trial that is drawn again is told as the first"
run 2 search lr=.01..1 --lr 0.1 && grep -q -- '--lr has a range, and a value of its own' err
claim "an option has one or the other"
run 2 search 'optimizer=adam|sgd' --mu 2 && grep -q -- '--mu is of --optimizer diagonal-lm' err && run 2 search mu=0.1..1 &&
    run 2 search rows=in-order batch-classes=1..3 && grep -q -- '--batch-classes is of --rows shuffled' err &&
    run 0 search 'optimizer=diagonal-lm|adam' mu=0.1..1 'layers=8 tanh' --trials 4 --epochs 2 && grep -q diagonal out
claim "what no value of the ranges reads is refused, what some read is not"
line=$(sed -n 's/^the best again: bpcuda //p' err)
eval "run 0 $line --quiet"
claim "and the line that is told has what its values read"
# twice COMMAND...: two signals, as a shell and timeout send them; they may come as one, so a few times
twice() {
    for pause in 0 0.01 0.05; do
        "$bpcuda" "$@" --json --quiet --out twice > out 2> err &
        sleep 1
        kill -INT $!
        sleep $pause
        kill -TERM $! 2> err
        wait $!
        [ $? -eq 130 ] && tail -n 1 out | grep -q '"stopped": true' && run 0 eval twice --data digits || return 1
        rm twice
    done
}
twice train --data digits --epochs 100000 && twice search epochs=2..3000 --schedule constant --trials 100000 &&
    twice train --data digits --layers "32 tanh" --epochs 100 --ensemble 1000
claim "a second signal loses nothing"
finish
