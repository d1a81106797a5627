#!/bin/sh
# registers.sh LOG...: what each kernel needs of a multiprocessor, as nvcc said when it compiled them
# (cmake/nvcc.sh). A stack frame or a spill is where registers went that did not fit, and fails.
cat "$@" | awk '
    /Function properties for/ {name = $NF}
    /bytes stack frame/ {
        if ($1 > 0 || $5 > 0 || $9 > 0) {
            printf "FAILED %s: %s\n", name, $0
            bad++
        }
    }
    /Used [0-9]+ registers/ {
        for (i = 1; i < NF; i++)
            if ($i == "Used" && $(i + 1) > most)
                most = $(i + 1)
        n++
    }
    END {
        printf "%d kernels, at most %d registers, %d with a stack frame or spills\n", n, most, bad
        exit !n || bad > 0
    }'
