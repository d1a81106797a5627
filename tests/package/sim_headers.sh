#!/bin/sh
# sim_headers.sh CXX SOURCE TOOLKIT-HEADERS: the simulated device's calls, compiled against the real
# headers: what it fakes has CUDA's own prototypes.
status=0
for name in runtime arena memory streams cublaslt product; do
    "$1" -std=c++17 -fsyntax-only -w -DBPI_SIM -I"$2/tests/sim" -I"$3" -I"$2/src" -I"$2/include" \
        "$2/tests/sim/$name.cpp" || status=1
done
exit $status
