#!/bin/sh
# needs.sh BPCUDA WORK: an option that was given, and that nothing in the run reads, is status 2, and what it is of is
# told; beside what it is of it is taken.
bpcuda=$1 work=$2
. "$(dirname "$0")/claims.sh"
run 0 train --epochs 1 --layers 4 --out m --log log --quiet
claim "a model, and a log"
printf 'a,b,y\n1,2,x\n3,4,z\n1,3,x\n3,5,z\n' > t.csv

# idle OPTION WHERE ARGS...: the option is refused with these words.
idle() {
    option=$1 where=$2
    shift 2
    run 2 "$@" && quiet out && [ "$(wc -l < err)" -eq 1 ] && grep -qF -- "$option is of $where" err
    claim "$option says nothing to bpcuda $*"
}
all="steps: --optimizer lbfgs, lm and gauss-newton take all rows at once"
val="--val SHARE"
idle --mu "--optimizer diagonal-lm" train --mu 1
idle --emphasis "--rows by-error" train --emphasis 0.5
idle --epoch-steps "--rows weighted, balanced or by-error" train --epoch-steps 3
idle --batch-classes "--rows shuffled, stratified or balanced" train --rows in-order --batch-classes 2
idle --batch-per-class "--rows shuffled, stratified or balanced" train --rows by-error --batch-per-class 2
idle --average-from "--average" train --average-from 2
idle --average-from "--average" train --average 0 --average-from 2
idle --decay-from "--l1 and --l2" train --decay-from 2
idle --stop-strip "--stop-pq and --stop-up" train --val 0.1 --stop-gl 2 --stop-strip 3
for option in --patience --stop-gl --stop-pq --stop-up; do idle $option "$val" train $option 3; done
idle --estimate-decay "$val" train --estimate-decay
for option in --resume "--checkpoint-every 3" "--checkpoint-keep 3"; do
    # shellcheck disable=SC2086
    idle "${option% *}" "--checkpoint FILE" train $option
done
for option in --checkpoint --log --tensorboard; do idle $option "one run" train --ensemble 2 $option x; done
idle --ensemble "$all" train --optimizer lbfgs --ensemble 2
idle --estimate-decay "$all" train --optimizer lbfgs --val 0.1 --estimate-decay
idle --target "a CSV" train --target y
idle --header "a CSV" inspect m --header yes
idle --split "--data without a test set of its own" train --data mnist:nowhere --split 0.1
idle --split "inspect batches" inspect --data digits --split 0.1
idle --rows "inspect batches" inspect m --rows in-order
for option in --from --steps --batch --clip-norm; do idle $option "rate range" rate hessian $option 2; done
idle --optimizer "rate range" rate hessian --optimizer sgd
idle --seed "check data and check model" check device --seed 3
idle --lr "check model" check data --lr 3
idle --layers "a new model" check model m --layers 3
idle --task "a new model" check model m --task classes
idle --size "--kind filters and misread" plot m --kind confusion --data digits --size 8x8 -o x.svg
idle --data "--kind regions, confusion and misread" plot m --data digits --kind filters -o x.svg
idle --data "--kind regions, confusion and misread" plot log --data csv:t.csv --target y --ascii
idle --threads "a model" plot log --threads 1 --ascii
for args in "rate --lr 1" "rate --epochs 2" "rate --schedule constant" "rate --patience 2 --val 0.1" "rate --average 0.9" "rate --stop-gl 2 --val 0.1" \
    "check model --batch 3" "check model --patience 3 --val 0.1" "inspect batches --data digits --emphasis 0.2"; do
    # shellcheck disable=SC2086
    run 2 $args && quiet out && grep -q ', which bpcuda train does' err
    claim "what a command has no use for it does not know: $args"
done
for args in "train --lr auto --optimizer sgd" "train --optimizer diagonal-lm --mu 1" "train --rows by-error --emphasis 0.3 --epoch-steps 2" \
    "train --rows balanced --batch-classes 2" "train --average 0.9 --average-from 2" "train --l1 0.1 --decay-from 2" \
    "train --val 0.1 --stop-up 2 --stop-strip 3 --patience 2 --estimate-decay" "train --checkpoint c --resume --checkpoint-every 3 --checkpoint-keep 2" \
    "train --optimizer lbfgs --l2 0.1 --val 0.1 --patience 2" "train --ensemble 2 --augment shift=1 --val 0.1 --patience 2" "rate hessian --l2 0.1 --val 0.1 --seed 2" \
    "inspect batches --data csv:t.csv --target y --split 0.5 --batch-classes 2"; do
    case $args in train*) more="--epochs 2 --layers 4" ;; rate*) more="--layers 4" ;; *) more= ;; esac
    # shellcheck disable=SC2086
    run 0 $args $more --json
    claim "what is read is taken: $args"
done
run 2 inspect batches --data digits --rows by-error && quiet out && grep -q "follows the losses of a model" err
claim "what is drawn by losses is not shown without a model"
"$bpcuda" train --help | grep -q -- '--lr N|auto' && ! "$bpcuda" search --help | grep -q -- 'N|auto' && run 2 search --lr auto batch=8..16 && run 2 check model --lr auto
claim "auto is offered where it is taken"
if command -v gnuplot > /dev/null; then
    run 1 plot m --kind misread --data digits --size 3x5 -o x.svg && grep -q 'the images are 8 x 8, not 3 x 5' err && [ ! -e x.svg ] &&
        run 0 plot m --kind misread --data digits --size 8x8 -o x.svg
    claim "a size that is not that of the images is refused"
fi
finish
