#!/bin/sh
# data.sh BPCUDA WORK: data of every kind through the command, and what is wrong with data, files and
# options: status 1, one sentence that names it, and no file left behind.
bpcuda=$1 work=$2
. "$(dirname "$0")/claims.sh"
mkdir in
{ echo 'a,b,kind'; for i in 1 2 3 4 5 6 7 8 9 10; do echo "$i,$((i % 3)),x"; echo "$i.5,$((i % 4 + 9)),y"; done; } > in/two.csv
sed 's/,x$/,0/; s/,y$/,1/' in/two.csv > in/whole.csv
awk -F, 'NR == 1 { print "a,b,z"; next } { print $1 "," $2 "," 2 * $1 - $2 + 0.25 }' in/two.csv > in/real.csv
sed 's/^\(.*\),\(.*\),\(.*\)$/\3,\1,\2/' in/two.csv > in/first.csv

# wrong NAME WORDS... : the file in/NAME (of standard input) is refused with these words.
wrong() {
    cat > "in/$1"
    run 1 train --data "csv:in/$1" --out m --log l --checkpoint c && quiet out && [ "$(wc -l < err)" -eq 1 ] &&
        grep -qF "in/$1" err && grep -qF "$2" err && [ ! -e m ] && [ ! -e l ] && [ ! -e c ]
    claim "$1: $2"
}
printf '' | wrong empty.csv "is empty"
printf 'a,b,y\n' | wrong head.csv "no rows"
printf 'a,b,y\n1,2,x\n1,2\n' | wrong ragged.csv "line 3 has 2 fields; 3 are wanted"
printf 'a,b,y\n1,2,x\n1,2,3,x\n' | wrong long.csv "line 3 has more than 3 fields"
printf 'a,b,y\n1,two,x\n1,2,z\n' | wrong text.csv 'line 2, column "b": "two" is no number'
printf 'a,b,y\n1,nan,x\n1,2,z\n' | wrong nan.csv 'line 2, column "b": "nan"'
printf 'a,b,y\n1,1e99,x\n1,2,z\n' | wrong big.csv 'line 2, column "b": 1e99 is beyond'
printf 'a,b,y\n1,,x\n1,2,z\n' | wrong hole.csv 'line 2, column "b": it is empty'
printf 'a,b,y\n1,2,x\n1,2,x\n' | wrong one.csv 'one class only, "x"'
printf 'y\nx\nz\n' | wrong nothing.csv "no column is left"
printf '"a,b\n1,2' | wrong quote.csv "not closed"
printf '\000\001\377\n\376' | wrong binary.csv ""
printf 'a,b,y\n1,2,x\n1,2,z\n' > in/few.csv
for args in "1 csv:in/missing.csv missing.csv" "1 csv:in in" "2 csv:in/few.csv --split" "1 mnist:in in" "1 npy:in/two.csv two.csv" \
    "1 npy:in/none.npy none.npy" "2 spiral:1,2,3 spiral:1,2,3" "2 spiral:3,2 spiral:3,2" "2 cvs:x cvs:x"; do
    status=${args%% *} args=${args#* }
    run "$status" train --data "${args% *}" --out m && quiet out && [ "$(wc -l < err)" -eq 1 ] && grep -qF -- "${args#* }" err && [ ! -e m ]
    claim "$args is told"
done
run 1 train --data csv:/dev/zero && quiet out && grep -q 'line 1: it has no end in 256 MiB' err
claim "a file without an end is not read for ever"
for args in "2 --target nope:nope" "1 --task regression:is no number" "2 --skip zz:zz" \
    "2 --loss mse:cross-entropy" "2 --task labels:several" "2 --layers rleu:rleu" "2 --schedule cosin:cosin" \
    "1 --out nowhere/x:nowhere/x" "1 --checkpoint nowhere/x:nowhere/x" \
    "1 --device abacus:abacus" "2 --val 0.01:--val"; do
    status=${args%% *} args=${args#* }
    # shellcheck disable=SC2086
    run "$status" train --data csv:in/two.csv ${args%:*} && quiet out && [ "$(wc -l < err)" -eq 1 ] &&
        grep -qF -- "${args##*:}" err
    claim "$args"
done
run 2 train --data csv:in/real.csv --target none && grep -q 'no targets' err
claim "data without targets are not trained on"
run 1 train --data csv:in/two.csv --rows weighted && grep -q 'want a column sampling' err
claim "weighted rows want their weights"
for args in "--out ck.1 --checkpoint ck --checkpoint-keep 2" "--log in/../ck.2 --checkpoint ck --checkpoint-keep 3"; do
    # shellcheck disable=SC2086
    run 2 train --data csv:in/two.csv $args && grep -q 'where an older checkpoint is kept' err
    claim "nor what a checkpoint keeps: $args"
done
run 2 train --data csv:in/two.csv --out m --checkpoint in/../m && grep -q 'is the file of' err
claim "two names are one file before it is there"
run 2 train --data csv:in/two.csv --out events --tensorboard ./events && grep -q 'tensorboard ./events is the file of --out' err && [ ! -e events ]
claim "a folder of events is no model's file"
printf '\223NUMPY\001\000\166\000%-117s\n' "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 1), }" > in/x.npy
printf '\000\000\200\077\000\000\000\100' >> in/x.npy
cp in/x.npy in/y.npy
for out in x y; do
    run 2 train --data npy:in/x.npy,in/y.npy --split 0 --epochs 1 --out in/../in/$out.npy && grep -q 'is what --data reads' err && cmp -s in/x.npy in/y.npy
    claim "what --data reads stays: $out.npy"
done
run 0 train --data npy:in/x.npy,in/y.npy --split 0 --epochs 1
claim "(which it can read)"
run 2 train --data csv:in/two.csv --out - && grep -q 'standard output' err && [ ! -e - ]
claim "- is no name of a model"
run 2 check device cpu && run 2 check device --json && run 2 check model m --layers 3 && run 2 check device --data csv:in/two.csv
claim "words of check that mean nothing are told"
for args in "--target 1" "--skip a" "--header yes"; do
    # shellcheck disable=SC2086
    run 2 train --data digits $args && grep -q 'is of a CSV' err
    claim "$args is not ignored"
done
cp in/two.csv in/kept.csv
for args in "--out in/kept.csv" "--log ./in/kept.csv" "--out m --checkpoint m"; do
    # shellcheck disable=SC2086
    run 2 train --data csv:in/kept.csv $args && grep -q 'is the file of\|is what --data reads' err && cmp -s in/two.csv in/kept.csv
    claim "one file is not two things: $args"
done
[ "$(ls)" = "$(printf 'err\nin\nout')" ]
claim "nothing was left behind"

train() { run 0 train --json --layers "8 tanh" --epochs 200 --batch 8 --lr 0.03 "$@"; }
train --data csv:in/two.csv --out m && at_least "$(value test_accuracy out)" 0.9
claim "a CSV of two classes is learnt"
run 0 predict m --data csv:in/two.csv --target kind && sort out | uniq -c | awk '{ print $1 $2 }' > counts && [ "$(cat counts)" = "$(printf '10x\n10y')" ]
claim "predictions are the classes' names"
cut -d, -f1,2 in/two.csv | "$bpcuda" predict m --data - --probabilities > out 2> err && [ "$(wc -l < out)" -eq 20 ] &&
    awk -F, 'NF != 2 || $1 + $2 < 0.9999 || $1 + $2 > 1.0001 { exit 1 }' out
claim "probabilities, from standard input, a row a line"
cut -d, -f1,2 in/two.csv > in/bare.csv
run 0 predict m --data csv:in/bare.csv --label none && [ "$(wc -l < out)" -eq 20 ]
claim "--label none"
run 0 predict m --data csv:in/bare.csv --json && [ "$(wc -l < out)" -eq 1 ] && [ "$(value samples out)" = 20 ]
claim "predict --json is one object"
run 1 predict m --data csv:in/whole.csv && grep -q "the model takes 2: --target names the one" err
claim "a column too many is told, with the option"
run 0 eval m --data csv:in/two.csv --json && [ "$(value samples out)" = 20 ] && at_least "$(value accuracy out)" 0.9
claim "eval of a file is of all its rows"
run 0 eval m --data csv:in/two.csv --split 0.2 && grep -q ', 4 rows$' out
claim "or of those that were held out"
head -n 4 in/two.csv | grep -v ',x' > in/part.csv
run 0 eval m --data csv:in/part.csv
claim "a file that holds one class of the model's can be tested"
printf 'a,b,kind\n1,2,w\n' > in/new.csv
run 1 eval m --data csv:in/new.csv && grep -q '"w" is none of the 2 classes' err
claim "a class that the model does not know is told"
awk -F, '{ print $2 "," $1 "," $3 }' in/two.csv > in/swapped.csv
run 1 eval m --data csv:in/swapped.csv && grep -q 'column "b" stands where the model has "a"' err
claim "columns in another order are told"
run 1 predict m --data csv:in/swapped.csv --target kind && grep -q 'column "b" stands' err
claim "for predictions too"
run 1 predict m --data csv:in/two.csv && grep -q -- '--target names' err
claim "the answers in a file to predict are told by their option"
{ echo a,b,kind; for i in 1 2 3; do printf '%s,1,"\033[31mred"\n%s,5,"new\nline"\n' $i $i; done; } > in/odd.csv
train --data csv:in/odd.csv --split 0 --out odd && run 0 predict odd --data csv:in/odd.csv --target kind && [ "$(wc -l < out)" -eq 6 ] &&
    grep -qF '\x1b[31mred' out && ! grep -q "$(printf '\033')" out
claim "names that do not print are shown as they can be, a row a line"
run 0 predict odd --data csv:in/odd.csv --target kind --json && grep -qF 'new\u000aline' out
claim "and are whole in JSON"
printf '1,2,0\n3,4,1\n5,6,0\n7,8,1\n1,3,0\n3,5,1\n5,7,0\n7,9,1\n2,2,0\n4,4,1\n' > in/bare2.csv
train --data csv:in/bare2.csv --header yes --out "in/a b" && grep -qF "next: bpcuda eval 'in/a b' --data csv:in/bare2.csv --header yes --split 0.2" err
claim "the next line to type is whole, and quoted"
seq 1 40 | awk 'BEGIN { print "a,id" } { print $1 % 7 "," $1 * 3 }' > in/ids.csv
run 2 train --data csv:in/ids.csv --task classes && grep -q 'of each class by itself' err && run 1 check data --data csv:in/ids.csv --task classes && quiet err
claim "a class for each row cannot be cut, but looked at"
train --data csv:in/first.csv --target kind && train --data csv:in/first.csv --target 0
claim "the target by name or number"
train --data csv:in/whole.csv && grep -q '^classes' err
claim "few whole numbers are classes"
train --data csv:in/whole.csv --task regression && grep -q '^regression' err && grep -q test_r2 out
claim "unless it is said that they are numbers"
train --data csv:in/real.csv --split 0 --out r && at_least "$(value test_r2 out)" 0.9
claim "numbers are regression"
[ "$(value tested_on out)" = '"training rows"' ]
claim "what is tested on its training rows says so"
run 0 eval r --data csv:in/real.csv --json && grep -qE '^\{"loss": .*"mse": .*"mae": .*"r2": .*"samples": 20, "device": ' out
claim "whose eval has loss, mse, mae, r2, samples, device"
run 0 predict r --data csv:in/bare.csv && awk '!/^-?[0-9.e+-]+$/ { exit 1 }' out
claim "and whose predictions are numbers"
run 1 eval r --data csv:in/two.csv
claim "classes are not numbers"
run 0 train --data spiral:3,300,0.2 --layers "64 relu 64 relu" --split 0 --epochs 100 --json && at_least "$(value test_accuracy out)" 0.999
claim "the spiral is learnt to 99.9 % of its points"
run 0 inspect m && grep -q 'layer1.weight  *\[8,2\]' out && run 0 inspect m --json && [ "$(value count out)" = 42 ]
claim "inspect shows a model"
run 0 inspect --data csv:in/two.csv && grep -q 'class x' out && grep -qE '^  a  +1 +5.75 +10.5' out
claim "inspect shows data"
run 0 inspect --data csv:in/real.csv --json && grep -q '"name": "z"\|"name": "y"' out
claim "targets too"
run 0 inspect batches --data digits --batch 64 --batch-classes 8 --batch-per-class 3 --epochs 2 --json && [ "$(wc -l < out)" -eq 56 ] &&
    sed -n 's/^{"epoch": 2, "samples": \[\(.*\)\], "class_counts": \[\(.*\)\]}$/\1/p' out | tr -d ' ' | tr , '\n' | sort -n | awk '$1 != NR - 1 { exit 1 } END { exit NR != 1797 }'
claim "inspect batches has each row once in an epoch"
sed -n 's/.*"class_counts": \[\(.*\)\]}$/\1/p' out | awk -F', ' '{ n = 0; for (i = 1; i <= NF; i++) { n += $i > 0; if ($i == 1 || $i == 2) exit 1 } if (NF != 10 || n < 8) exit 1 }'
claim "in batches that have as many classes, and rows of each, as were asked for"
run 0 inspect batches --data digits --split 0.2 --rows stratified --json && tr -d ' ' < out | sed 's/.*"samples":\[\(.*\)\],.*/\1/' | tr , '\n' | sort -n | uniq | awk '{ most = $1 } END { exit NR != 1438 || most < 1700 }'
claim "with --split of the rows that are trained on, by their numbers among all"
run 1 inspect batches --data digits --batch-classes 11 && grep -q 'wants 11 classes in every batch; the rows to train on have 10$' err && quiet out
claim "a wish that cannot be met is told with its numbers"
run 0 inspect batches --data csv:in/real.csv --batch 7 && [ "$(wc -l < out)" -eq 3 ] && run 2 inspect --data digits --batch 7 && grep -q -- '--batch is of inspect batches' err
claim "data without classes have batches too"
run 0 check data && run 0 check model --seed 3
claim "the doctor says nothing of the digits"
awk 'BEGIN { print "a,told,z"; for (i = 0; i < 90; i++) { z = i * i % 37 + i / 8; print i % 11 "," 3 * z + 1 "," z } }' > in/told.csv
run 1 check data --data csv:in/told.csv && grep -q 'told-target  *--skip  *column "told" is the target' out
claim "the doctor names the column, and the option that mends it"
run 1 check model --data csv:in/real.csv --lr 10 --optimizer sgd --json && grep -q '"option": "--lr"' out && [ "$(wc -l < out)" -eq 1 ]
claim "check model --json is one object"
finish
