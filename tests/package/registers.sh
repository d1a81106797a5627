#!/bin/sh
# registers.sh CUOBJDUMP LIBRARY: what each kernel needs of a multiprocessor. A stack frame or local
# memory is where registers went that did not fit, and fails.
"$1" --dump-resource-usage "$2" 2>&1 | awk '
    /^ *Fatbin|^arch =|^ *arch =/ {next}
    /Function / {name = $2; sub(/:$/, "", name)}
    /REG:/ {
        reg = stack = local = 0
        for (i = 1; i <= NF; i++) {
            split($i, part, ":")
            if (part[1] == "REG") reg = part[2]
            if (part[1] == "STACK") stack = part[2]
            if (part[1] == "LOCAL") local = part[2]
        }
        n++
        most = reg > most ? reg : most
        if (stack > 0 || local > 0) {
            printf "FAILED %s: %d bytes of stack, %d of local memory\n", name, stack, local
            bad++
        }
    }
    END {
        printf "%d kernels, at most %d registers, %d with a stack frame or spills\n", n, most, bad
        exit !n || bad > 0
    }'
