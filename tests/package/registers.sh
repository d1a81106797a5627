#!/bin/sh
# registers.sh LOG...: what each kernel needs of a multiprocessor, as nvcc said when it compiled them
# (cmake/nvcc.sh). A stack frame or a spill is where registers went that did not fit, and fails; sin
# and cos have a frame of up to 40 bytes, the digits of 2 / pi that CUDA's own keep for huge x.
cat "$@" | awk '
    /Function properties for/ {name = $NF}
    /bytes stack frame/ {
        trig = name ~ /(sin|cos)_(value|slope)/ && $1 <= 40
        if (($1 > 0 && !trig) || $5 > 0 || $9 > 0) {
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
