#!/bin/sh
# rate.sh BPCUDA WORK: rates that are suggested, and runs over all rows at once.
bpcuda=$1 work=$2
data=$(cd "$(dirname "$0")/../../data/small" && pwd)/diabetes.csv
. "$(dirname "$0")/claims.sh"
line() { run 0 train --data "csv:$data" --task regression --layers "" --split 0 --json --quiet "$@"; }

run 0 rate --data digits --json && at_least "$(value rate out)" 0.001 && at_least 0.1 "$(value rate out)" && mv out first &&
    run 0 rate range --data digits --json && cmp -s out first
claim "a range test suggests a rate, always the same"
[ "$(tr -cd ']' < first | wc -c)" -eq 3 ] && grep -q '"diverged": true' first
claim "and has its rates, losses and means in lists"
run 0 rate range --data digits --from 0.01 --to 0.02 --steps 5 --json && [ "$(value diverged out)" = false ]
claim "from here to there in so many steps"
run 2 rate range --data digits --from 1 --to 0.5 && grep -q -- '--from 1 is not below --to 0.5' err && quiet out
claim "but not backwards"
run 1 rate --data digits --steps 2 --json && quiet out && grep -q 'the loss is least at the first rate' err
claim "and where no step lowers the loss it says so"
run 2 rate --optimizer lm && grep -q 'and --optimizer lm has none' err && run 2 check model --optimizer lbfgs
claim "or where there are no steps"
run 2 rate sideways && grep -q '"sideways" is none of range, hessian' err
claim "and no other way"
run 0 rate hessian --data digits --layers "8 tanh" --json && [ "$(value converged out)" = true ] &&
    awk "BEGIN { x = $(value rate out) * $(value largest out); exit !(x > 0.999999 && x < 1.000001) }"
claim "the rate of the largest curvature is its inverse"
rate=$(value rate out)
run 0 train --data digits --layers "8 tanh" --optimizer sgd --lr auto --epochs 3 --schedule constant --log log --json && mv out auto &&
    awk "BEGIN { x = $(sed -n 3p log | sed 's/.*"lr": \([^,]*\).*/\1/') / $rate; exit !(x > 0.999999 && x < 1.000001) }" &&
    grep -q -- '--lr auto: ' err && run 0 train --data digits --layers "8 tanh" --optimizer sgd --lr "$rate" --epochs 3 --schedule constant --json &&
    at_least 0.02 "$(value test_accuracy out | awk -v a="$(value test_accuracy auto)" '{ print ($1 - a)^2 }')"
claim "--lr auto takes it"
run 2 train --data digits --lr auto && grep -q 'adam scales its steps itself' err
claim "but not for adam"
if command -v gnuplot > /dev/null; then
    run 0 rate range --data digits -o range.svg && grep -q '<svg' range.svg && run 0 rate hessian --layers "4 tanh" -o eigen.png && [ -s eigen.png ]
    claim "both are drawn"
fi
run 1 rate --data cvs:x -o /nowhere/x.svg && grep -q '/nowhere/x.svg' err && run 2 rate --data cvs:x -o x.gif && grep -q '.svg or .png' err
claim "a picture that cannot be is told before the test"
run 2 rate hessian --data digits -o large.svg && [ ! -e large.svg ] && grep -q 'at most 4096' err
claim "but not of a large net"

# --- all rows at once: the closed form of the linear regression leaves 0.4822515777796502 of the variance, a mean
# square of 2859.6963475867506; of the rows as the network has them, normalised and f32, 0.4822515819989726 ---------
for method in lbfgs lm gauss-newton; do
    line --optimizer $method --out $method && awk "BEGIN { x = $(value test_mse out) / 2859.6963475867506 - 1; exit !(x > -1e-7 && x < 1e-7) }" &&
        awk "BEGIN { x = $(value value out) / 0.4822515777796502 - 1; exit !(x > -1e-8 && x < 1e-8) }" &&
        awk "BEGIN { x = $(value value out) / 0.4822515819989726 - 1; exit !(x > -2e-9 && x < 2e-9) }" # as printed
    claim "$method reaches the closed form"
done
run 0 train --data digits --layers "16 tanh" --optimizer lbfgs --l2 0.01 --epochs 100 --log run --tensorboard board --val 0.2 --json --out net &&
    at_least "$(value test_accuracy out)" 0.93 && [ "$(wc -l < run)" -eq "$(($(value epochs out) + 2))" ] &&
    run 0 eval net --data digits --json
claim "classes by L-BFGS, a line of the log an iteration"
run 0 train --data digits --layers "16 tanh" --optimizer lbfgs --epochs 500 --val 0.2 --patience 5 --json --quiet &&
    [ "$(value epochs out)" -eq $(($(value best_epoch out) + 5)) ] && [ "$(value stopped_by out)" = '"patience"' ] &&
    grep -q '"ended": "--patience is over"' out
claim "--patience ends it, and the best stays"
for method in lm gauss-newton; do
    run 2 train --data digits --optimizer $method --out none && grep -q 'is for squared errors' err && [ ! -e none ]
    claim "$method is for regression"
done
for args in "--batch 10" "--lr 1" "--schedule constant" "--checkpoint c" "--clip-norm 1" "--augment shift=1" "--max-norm 1" \
    "--lr-fan-in 0.5" "--mu 2" "--batch-classes 4" "--batch-per-class 2" "--emphasis 0.3" "--average-from 2" "--stop-strip 3"; do
    # shellcheck disable=SC2086
    run 2 train --data digits --optimizer lbfgs $args && grep -q 'lbfgs, lm and gauss-newton take all rows at once' err && [ ! -e c ]
    claim "what is about steps is refused: $args"
done
"$bpcuda" train --data spiral:3,4000,0.6 --layers "512 tanh 256 tanh" --optimizer lbfgs --epochs 1000000 --json --out part > out 2> err &
sleep 1
kill -INT $!
wait $!
[ $? -eq 130 ] && [ "$(value stopped out)" = true ] && run 0 eval part --data spiral:3,4000,0.6
claim "Ctrl-C keeps the best so far"
run 0 train --data digits --optimizer diagonal-lm --lr 0.1 --mu 0.1 --lr-fan-in 0.5 --epochs 10 --json && at_least "$(value test_accuracy out)" 0.93
claim "second derivatives, and rates of layers"
run 1 train --data digits --optimizer diagonal-lm --layers "16 layernorm relu" --out none && grep -q 'hold a norm' err && [ ! -e none ]
claim "of a stack only"
finish
