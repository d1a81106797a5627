#!/bin/sh
# sim_headers.sh CXX SOURCE TOOLKIT-HEADERS: the simulated device, compiled against the real headers:
# what it fakes has CUDA's own prototypes.
status=0
for file in "$2"/tests/sim/*.cpp; do
    "$1" -std=c++17 -fsyntax-only -w -DBPI_SIM -I"$2/tests/sim" -I"$3" -I"$2/src" -I"$2/include" \
        "$file" || status=1
done
exit $status
