#!/bin/sh
# command.sh BPCUDA WORK: the bpcuda command from outside: exit status, stdout against stderr, JSON,
# files, and that results repeat.
bpcuda=$1 work=$2
. "$(dirname "$0")/claims.sh"

run 0 --help && grep -q '^usage: bpcuda' out && quiet err
claim "--help goes to stdout"
run 2 && quiet out && [ "$(head -n 1 err)" = "usage: bpcuda COMMAND [options]" ] && ! grep -q '^bpcuda: ' err
claim "without a command there is the usage, and nothing else"
run 0 --version && grep -qE '^bpcuda [0-9]+\.[0-9]+\.[0-9]+$' out
claim "--version is one line"
for command in train search eval predict inspect export plot bench devices check; do
    run 0 $command --help && [ "$(wc -l < out)" -le 24 ] && awk 'length($0) > 80 { exit 1 }' out
    claim "$command --help fits a screen"
    run 0 $command --help-all && awk 'length($0) > 100 { exit 1 }' out && run 0 help $command
    claim "$command --help-all"
    "$bpcuda" --page man-$command > page && grep -q '^.SH EXAMPLES' page
    claim "$command has a manual page"
done
run 0 train --help-all && grep -q -- '--decay-from' out && ! "$bpcuda" train --help | grep -q -- '--decay-from'
claim "train --help-all lists all options"
if command -v man > /dev/null; then
    for page in man man-train man-search man-check; do "$bpcuda" --page $page > page.1; man --warnings -l page.1 2>&1 >/dev/null; done > warnings
    quiet warnings
    claim "the manual pages have no warnings"
fi
"$bpcuda" --page bash > complete.bash && bash -n complete.bash &&
    bash -c '. ./complete.bash; COMP_WORDS=(bpcuda train --optimizer ad); COMP_CWORD=3; _bpcuda;
             [ "${COMPREPLY[*]}" = "adam adamw adagrad" ] || exit 1
             COMP_WORDS=(bpcuda ev); COMP_CWORD=1; _bpcuda; [ "${COMPREPLY[*]}" = eval ]'
claim "bash completes commands and words"
if command -v zsh > /dev/null; then
    "$bpcuda" --page zsh > _bpcuda && zsh -n _bpcuda
    claim "zsh reads its completion"
fi
for pair in "trian train" "train:--epoch --epochs" "train:--optimizer=adm adam" "train:--targt --target"; do
    # shellcheck disable=SC2046
    run 2 $(echo "${pair% *}" | tr : ' ') && grep -qF -- "did you mean ${pair#* }?" err
    claim "the nearest word is offered: $pair"
done
for args in "fly" "train --frobnicate 1" "train --epochs" "train --epochs 0" "train --epochs 1.5" \
    "train --lr nan" "train --normalize pixels" "train --json=1" "train 7" "eval" "devices --quiet" "predict" "plot" "check" "eval a b" "train --resume" "train --patience 3" "train --task"; do
    # shellcheck disable=SC2086
    run 2 $args && quiet out && [ "$(wc -l < err)" -eq 1 ]
    claim "a wrong command line is status 2 and one line on stderr: bpcuda $args"
done
esc=$(printf '\033')
for args in "$esc" "train --lr $esc" "train --$esc 1" "train --normalize $esc" "train --data $esc" \
    "train --layers $esc" "train --device $esc" "eval $esc --data digits" "train --out /nowhere/$esc"; do
    # shellcheck disable=SC2086
    ! "$bpcuda" $args > out 2> err && grep -qF '\x1b' err && ! grep -q "$esc" err
    claim "what a message quotes can be printed: bpcuda $args"
done
run 0 train --epochs 1 --layers "$(printf '16\r\nrelu\f\vdropout=.5\r\n')"
claim "line ends of Windows are white space"
run 2 train --data nowhere && quiet out && grep -q nowhere err
claim "unknown data is status 2"
run 2 train --batch 99999999 && grep -q 'an integer from 1 to 16777215 ' err
claim "a limit is printed in all its digits"
run 2 train --layers "8 tanhh" --epochs 1 && quiet out && grep -q tanhh err && run 2 train --schedule up && run 2 train --augment shift=99
claim "and so is a text that means nothing"
run 1 train --device abacus && quiet out && grep -q abacus err
claim "an unknown device is status 1"
run 1 eval missing --data digits && quiet out && grep -q missing err
claim "a missing model is status 1"
run 1 train --epochs 1 --out /nowhere/model && quiet out && ! grep -q epoch err
claim "a file that cannot be written is told before the training"
(ulimit -f 8 && run 1 train --epochs 1 --layers 512 --out limited && quiet out && ! grep -q epoch err)
claim "and so is one that may not become so large"
for args in "--layers 8x" "--data nowhere" "--data csv:nowhere" "--device abacus"; do
    echo kept > there
    # shellcheck disable=SC2086
    ! "$bpcuda" train $args --out new 2> err && [ ! -e new ] && ! "$bpcuda" train $args --out there 2> err && grep -q kept there
    claim "a failed command leaves no file, and one that was there as it was: $args"
done
mkfifo pipe && ln -s behind link
cat pipe > received &
run 0 train --epochs 1 --out pipe && wait $! && [ -p pipe ] && run 0 eval received --data digits
claim "a pipe stays one, and its reader gets the model"
run 0 train --epochs 1 --out link && [ -L link ] && run 0 eval behind --data digits
claim "a link stays one, and the file behind it is written"
for path in /dev/stdout /proc/self/fd/1 out; do
    run 2 train --epochs 1 --out $path && quiet out && [ "$(wc -l < err)" -eq 1 ] &&
        grep -q 'is the standard output' err
    claim "a model is not mixed with the results: --out $path"
done
{ "$bpcuda" train --epochs 1 --out /dev/stdout 2> err; echo $? > status; } | cat > out
quiet out && grep -q 'is the standard output' err && [ "$(cat status)" -eq 2 ]
claim "nor in a pipe"
"$bpcuda" train --epochs 1 --out /dev/null > /dev/null 2> err
claim "a device takes both"
[ -z "$(find . -name '.*.tmp')" ]
claim "no temporary file is left"
if [ -w /dev/full ]; then
    "$bpcuda" train --epochs 1 > /dev/full 2> err
    [ $? -eq 1 ] && grep -q stdout err
    claim "a full disk under stdout is status 1"
fi

run 0 train --epochs 4 --seed 3 --json --out a.safetensors && [ "$(wc -l < out)" -eq 1 ] &&
    [ "$(grep -c '^epoch' err)" -eq 4 ]
claim "train --json prints one line, and an epoch a line on stderr"
for key in test_accuracy test_loss epochs seconds samples_per_second device seed; do
    grep -q "\"$key\": " out
    claim "the JSON has $key"
done
accuracy=$(sed 's/.*"test_accuracy": \([0-9.]*\),.*/\1/' out)
awk "BEGIN { exit !($accuracy > 0.9 && $accuracy <= 1) }"
claim "four epochs reach 90 % ($accuracy)"
run 0 eval a.safetensors --data digits --json && grep -q "\"accuracy\": $accuracy," out
claim "eval of the saved model has the accuracy of the training"
run 0 train --epochs 4 --seed 3 --threads 1 --out b.safetensors && cmp -s a.safetensors b.safetensors
claim "the same seed gives the same bytes, whatever the threads"
run 0 train --epochs 4 --seed=4 --out b.safetensors && ! cmp -s a.safetensors b.safetensors
claim "another seed gives others"
run 0 train --epochs 1 --normalize=none --out b.safetensors &&
    grep -aq '"normalize":"none"' b.safetensors && grep -aq '"normalize":"global"' a.safetensors
claim "--normalize is asked, and kept in the file"
head -c 300 a.safetensors > cut.safetensors
run 1 eval cut.safetensors --data digits && quiet out
claim "a cut model is status 1"
run 0 devices && grep -q '^cpu:generic' out
claim "devices lists the CPU"

# Twelve images of 2 x 2 in two classes, as IDX files, two of them gzipped.
idx() { # PART
    { printf '\000\000\010\003\000\000\000\014\000\000\000\002\000\000\000\002'
      for i in 1 2 3 4 5 6; do printf '\377\377\000\000\000\000\377\377'; done
    } > "idx/$1-images-idx3-ubyte"
    { printf '\000\000\010\001\000\000\000\014'
      for i in 1 2 3 4 5 6; do printf '\000\001'; done
    } > "idx/$1-labels-idx1-ubyte"
}
mkdir idx
idx train
idx t10k
mnist() { run 0 train --data mnist:idx --layers "4 relu" --epochs 60 --batch 4 --lr 0.05 --json; }
mnist && grep -q '"test_accuracy": 1,' out
claim "IDX files are read and learned"
if command -v gzip > /dev/null && gzip -k idx/train-images-idx3-ubyte 2> /dev/null; then
    rm idx/train-images-idx3-ubyte
    mnist && grep -q '"test_accuracy": 1,' out
    claim "and so are gzipped ones"
    head -c 30 idx/train-images-idx3-ubyte.gz > cut && mv cut idx/train-images-idx3-ubyte.gz
    run 1 train --data mnist:idx --epochs 1 && quiet out && grep -q train-images err
    claim "a cut gzip stream is status 1 and named"
fi
rm idx/t10k-*
run 1 train --data mnist:idx --epochs 1 && quiet out
claim "a missing file is status 1"

finish
