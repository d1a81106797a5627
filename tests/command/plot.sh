#!/bin/sh
# plot.sh PLOT_CALLS WORK: logs read, charts of characters, pictures by gnuplot (where there is one)
# and what becomes of them where something is missing.
calls=$1 work=$2
golden=$(cd "$(dirname "$0")" && pwd)
. "$golden/claims.sh"

calls() { "$calls" "$@" > out 2> err; }
# fails SENTENCE ARGS...: a failure that says so in one line, and leaves nothing in the folder new/.
fails() {
    sentence=$1
    shift
    ! calls "$@" && [ "$(wc -l < err)" -eq 1 ] && grep -qF -- "$sentence" err && [ ! -s out ] &&
        [ -z "$(ls -A new)" ]
}
# epoch N LOSS: a line of a log.
epoch() { printf '{"time": 1, "epoch": %s, "step": 1, "loss": %s, "accuracy": 0.%s, "lr": 0.01}\n' "$1" "$2" "$1"; }
header='{"run": {"data": "digits", "task": "classes", "layers": "64 \u00e9\n", "seed": 1, "other": {"x": [1, {}, [-2.5e-3]]}}}'
mkdir new
{
    printf '%s\n' "$header"
    for e in 1 2 3 4 5 6 7; do epoch $e $((80 / e)); done
    echo '{"result": {"test_accuracy": 0.9, "epoch": 99}}'
} > run.jsonl

sed 's/"lr"/"valid_loss": 30, "lr"/' run.jsonl > valid.jsonl

# --- logs ----------------------------------------------------------------------------------------
calls chart 60 ascii run.jsonl && diff "$golden/chart_ascii.txt" out > err
claim "the chart of a log, in plain characters"
calls chart 60 utf8 run.jsonl valid.jsonl && diff "$golden/chart_utf8.txt" out > err
claim "and in braille dots"
calls chart 60 colours run.jsonl valid.jsonl && sed "s/$(printf '\033')\[[0-9]*m//g" out | diff "$golden/chart_utf8.txt" - > err
claim "colours change nothing else"
for width in -1 0 1 40 200 100000; do
    calls chart $width ascii run.jsonl && awk -v most=$((width < 40 ? 40 : width > 400 ? 400 : width)) '
        /[|+-]/ && length > most {exit 1}' out
    claim "a chart is as wide as it is told, from 40 to 400: $width"
done
cp out whole
LC_ALL=C calls chart 0 here run.jsonl && mv out C && calls chart 80 ascii run.jsonl && diff C out > err
claim "a file is 80 columns wide, and plain in the locale C"
if [ "$(LC_ALL=C.UTF-8 locale charmap 2> /dev/null)" = UTF-8 ]; then
    LC_ALL=C.UTF-8 calls chart 0 here run.jsonl && mv out C && calls chart 80 utf8 run.jsonl && diff C out > err
    claim "and has braille dots where the locale has them"
fi
printf '{"time": 2, "epoch": 8, "lo' | cat run.jsonl - > cut.jsonl
calls chart 100000 ascii cut.jsonl && diff whole out > err
claim "a last line that was cut does not count"
{ cat run.jsonl; printf '{"time": 2, "epo\n'; printf '%s\n' "$header"; epoch 6 13; epoch 7 11; } > resumed.jsonl
calls chart 100000 ascii resumed.jsonl && diff whole out > err
claim "nor does one before a run that went on, whose epochs stand for those that were there"
{ cat run.jsonl; epoch 7 1000; } > again.jsonl
calls chart 60 ascii again.jsonl && grep -q 'epoch 7: loss 1000,' out
claim "of an epoch the last line counts"
tr -d ' ' < run.jsonl | sed 's/"accuracy":[^,]*,/"accuracy":null,"new":[true,false],/' > bare.jsonl
calls chart 60 ascii bare.jsonl && ! grep -q 'accuracy' out && grep -q loss out
claim "blanks, unknown keys and null are as JSON has them"
awk 'NR == 4 {print "{\"epoch\": 3, \"loss\": 1e"; next} 1' run.jsonl > broken.jsonl
fails "broken.jsonl: line 4: no line of a run's log: a value is wanted" chart 60 ascii broken.jsonl
claim "a line in the middle that is broken is named"
cp "$calls" binary.jsonl
printf 'a,b\n1,2\n' > table.jsonl
printf '{"a": 1}\n' > other.jsonl
printf '[1]\n' > array.jsonl
printf '{"epoch": 1.5, "loss": 1}\n' > half.jsonl
printf '{"epoch": 1, "loss": 1} x\n' > behind.jsonl
printf '{"epoch": 1, "loss": "\\q"}\n' > escape.jsonl
awk 'BEGIN {printf "{\"epoch\": 1, \"x\": "; for (i = 0; i < 100000; i++) printf "["; print ""}' > deep.jsonl
for file in binary table other array half behind escape deep; do
    fails "$file.jsonl: line 1: no line of a run's log: " chart 60 ascii $file.jsonl
    claim "what is no log is told: $file.jsonl"
done
: > empty.jsonl
printf '%s\n' "$header" > begun.jsonl
for file in empty begun; do
    fails "$file.jsonl: no epoch is in it" chart 60 ascii $file.jsonl
    claim "a log without an epoch is told: $file.jsonl"
done
fails "missing.jsonl: cannot be read: No such file" chart 60 ascii run.jsonl missing.jsonl
claim "a log that is missing is told"
fails "new: cannot be read: Is a directory" chart 60 ascii new
claim "and one that is a folder"

# --- where there is no picture to be had -----------------------------------------------------------
fails "new/run.pdf: a picture's name ends in .svg or .png" picture new/run.pdf run.jsonl
claim "another ending is told"
fails ".svg: a picture's name ends" picture .svg run.jsonl
claim "and an ending alone"
! env PATH= "$calls" picture new/run.svg run.jsonl 2> err && [ -z "$(ls -A new)" ] &&
    grep -qF 'plot: gnuplot was not found: install it (Debian: gnuplot-nox), or use --ascii' err
claim "no gnuplot on the PATH: a sentence, and no file"
mkdir fake
# with SCRIPT ARGS...: a call whose gnuplot is this script.
with() {
    printf '#!/bin/sh\n%s\n' "$1" > fake/gnuplot
    chmod +x fake/gnuplot
    shift
    (PATH="$work/fake:$PATH" && export PATH && "$calls" "$@") > out 2> err
}
! with 'echo "         line 7: no such thing" >&2; exit 1' picture new/run.svg run.jsonl && [ -z "$(ls -A new)" ] &&
    grep -qx 'plot: gnuplot failed: line 7: no such thing' err
claim "a gnuplot that fails: its reason, and no file"
echo old > kept.svg
! with 'echo "<svg> and so on"' picture kept.svg run.jsonl && grep -qx old kept.svg && [ -z "$(find . -name '.bpcuda*')" ] &&
    grep -q 'kept.svg: cannot be written: No space left' err
claim "a picture that is cut: what was there stays"
! with 'kill -9 $$' picture new/run.png run.jsonl && [ -z "$(ls -A new)" ] && grep -qx 'plot: gnuplot was ended: Killed' err
claim "a gnuplot that is killed"
fails "/nowhere/run.svg: cannot be written: No such file" picture /nowhere/run.svg run.jsonl
claim "a folder that is missing"
ln -s nowhere new.svg
fails "new.svg: cannot be replaced: it is no plain file" picture new.svg run.jsonl && [ -L new.svg ]
claim "a link to nothing"
mkdir folder.svg
fails "folder.svg: cannot be replaced: it is no plain file" picture folder.svg run.jsonl
claim "a folder in the way"
printf '{"epoch": 1, "loss": null}\n{"epoch": 2, "loss": null}\n' > nan.jsonl
fails "nan.jsonl: no epoch has a loss that is finite" picture new/run.svg nan.jsonl
claim "a run whose loss was never a number"

# --- pictures --------------------------------------------------------------------------------------
if ! command -v gnuplot > /dev/null; then
    echo "pictures are not tested: gnuplot was not found"
    finish
    exit
fi
has() { grep -q "<text.*$1" new/run.svg; }
# points PANEL: of the training curve of a panel, a, b, c.
points() {
    awk -v id="id=\"gnuplot_plot_1$1\"" 'index($0, id) {on = 1} on && /<path/ {
        sub(/.* d=.M/, ""); sub(/ *.\/>.*/, ""); print gsub(/,/, ""); exit}' new/run.svg
}
calls picture new/run.svg run.jsonl && [ "$(ls -A new)" = run.svg ] && [ ! -s err ] &&
    tail -n 2 new/run.svg | grep -q '</svg>'
claim "a picture, and nothing beside it"
has '>loss (nats)<' && has '>accuracy (%)<' && has '>learning rate<' && has '>epoch<' && has '>training<' &&
    has 'digits: 64 '
claim "the axes, the legend and the title are named"
[ "$(points b)" -eq 7 ] && [ "$(points c)" -eq 7 ]
claim "a curve has as many points as there are epochs: $(points b), $(points c)"
! has validation && calls picture new/run.svg again.jsonl && has '>loss (nats, log)<'
claim "what a run does not have is not named; more than a decade is a logarithm"
sed 's/"lr"/"valid_loss": 3, "lr"/; s/"accuracy": [0-9.]*, //' run.jsonl > "it's_<a> & b^2.jsonl"
calls picture new/run.svg run.jsonl "it's_<a> & b^2.jsonl" && has 's_&lt;a> &amp; b^2' && has validation
claim "several runs have their names, whatever these are"
calls picture new/run.svg run.jsonl && ln -sf new/run.svg link.svg && chmod 600 new/run.svg && calls picture link.svg run.jsonl &&
    [ -L link.svg ] && [ "$(stat -c %a new/run.svg)" = 600 ]
claim "a link stays one, and a file keeps its mode"
calls picture new/run.png run.jsonl cut.jsonl resumed.jsonl && head -c 4 new/run.png | grep -q PNG
claim "a PNG by its ending"
rm -f new/*
for blocks in 1 40; do
    (ulimit -f $blocks && ! "$calls" picture new/run.png run.jsonl 2> err) && [ -z "$(ls -A new)" ] && [ -s err ]
    claim "no room for the picture, or for the script: nothing is left: $blocks blocks"
done
head -n 2 run.jsonl > one.jsonl
printf '{"epoch": 0, "loss": 0}\n{"epoch": 900000000000000, "loss": -1e300}\n' > odd.jsonl
for file in one odd; do
    calls picture new/run.svg $file.jsonl && calls picture new/run.png $file.jsonl && calls chart 60 utf8 $file.jsonl
    claim "few or strange numbers: $file.jsonl"
done
for kind in classes regression labels confusion filters conv misread; do
    calls model $kind new/run.svg && calls model $kind new/run.png && [ ! -s err ]
    claim "a picture of a model: $kind"
done
calls model classes new/run.svg && has setosa && has '>input 1' && has '>input 2'
claim "regions name their axes and the classes"
calls model table x && mv out table && awk 'NR > 1 && NR < 12 {
        for (j = 2; j < 12; j++) {row[NR] += $j; column[j] += $j}
        hit[NR] = $NR; found[NR] = $12; right[NR] = $13}
    END {for (i = 2; i < 12; i++) if (sprintf("%.2f", 100 * hit[i] / row[i]) != found[i] ||
        sprintf("%.2f", 100 * hit[i] / column[i]) != right[i] || hit[i] == row[i]) exit 1}' table &&
    tail -n 1 table | grep -q 'of 1797 rows [0-9.]* % are right'
claim "a confusion table as text, with shares of its rows and columns"
# The numbers in the cells, 14 pixels high, from the upper left to the lower right.
calls model confusion new/run.svg && has 'what the model says' &&
    sed -n '/translate(.*size="14.00"/{N;s/.*translate(\([0-9.]*\),\([0-9.]*\)).*<text>\(.*\)<.text>/\2 \1 \3/p;}' new/run.svg |
    sort -k1,1n -k2,2n | cut -d ' ' -f 3 > cells &&
    awk 'NR > 1 && NR < 12 {for (j = 2; j < 12; j++) print $j}' table | diff - cells > err && [ "$(wc -l < cells)" -eq 100 ]
claim "a confusion table has its numbers"
calls model filters new/run.svg && has 'layer1.weight: 48 filters of 8 x 8'
claim "filters name their parameter and their size"
calls model conv new/run.svg && has 'layer1.weight: 6 filters of 3 x 3'
claim "those of a convolution too"
calls model misread new/run.svg && has 'what the model says: [0-9]* of 1797 rows are misread'
claim "a sheet of what is misread says how many these are"
# What gnuplot is given: cells of x, y and red, green, blue; of x, y and a weight.
keep="echo '<svg>drawn</svg>'; cat > '$work/script'"
with "$keep" model classes new/run.svg && awk 'BEGIN {n = 0} $2 == "<<" {block = $1} $1 == "END" {block = ""}
    block == "$cells" && NF == 5 {x[n] = $1; y[n] = $2; c[n++] = $5 > $3 && $5 > $4 ? 0 : $3 > $4 ? 1 : 2}
    block ~ /points/ && $2 != "<<" {
        best = 1e9
        for (i = 0; i < n; i++) {
            d = ($1 - x[i]) ^ 2 + 1e4 * ($2 - y[i]) ^ 2
            if (d < best) {best = d; is = c[i]}
        }
        right += is == $3
        all++
    }
    END {exit !(n == 25600 && all == 600 && right > 590)}' script
claim "a region has the colour of the points in it"
missing=
with "$keep" model filters-ramp new/run.svg &&
    for cell in "0 0 0" "1 0 1" "0 1 16" "15 3 63" "16 0 NaN" "17 0 64" "0 4 NaN" "50 30 NaN"; do
        grep -qx "$cell" script || missing="$missing $cell,"
    done && [ -z "$missing" ]
claim "a filter is a row of the weights, row by row; not there:$missing"
with "$keep" model misread new/run.svg && awk '$1 == "$sheet" {on = 1; next} $1 == "END" {on = 0}
    on {n++; low += $3 < 0; high += $3 > 1; ink += $3 == 1; x = $1; y = $2}
    / front font / {words++; split($0, word, "\047"); split(word[2], of, " > "); equal += of[1] == of[2]}
    /are misread/ {match($0, /says: [0-9]+/); wrong = 0 + substr($0, RSTART + 6, RLENGTH - 6)}
    END {exit !(n == (x + 1) * (y + 1) && words == (wrong < 40 ? wrong : 40) && words > 8 && !equal && !low &&
        !high && ink >= words)}' script
claim "a sheet has a tile for each, and both classes above it, which differ"
rm -f new/*
fails "regions want a model and data of 2 inputs, not of 64 and 64" model digits new/run.svg
claim "regions of other inputs are told"
fails "what is misread wants a model of classes, not of regression" model misread-numbers new/run.svg
claim "and rows without classes, which cannot be misread"
finish
