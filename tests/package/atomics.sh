#!/bin/sh
# atomics.sh KERNELS: atomics and fences stand in grid.cuh and nowhere else.
found=$(grep -nE 'atomic[A-Z]|__threadfence|__nanosleep|asm *(volatile)?' "$1"/*.cu "$1"/*.cuh |
    grep -v '/grid.cuh:' | grep -vE ':[0-9]+:( \*|/\*)')
[ -z "$found" ] || {
    echo "FAILED: outside grid.cuh:"
    echo "$found"
    exit 1
}
grep -q atomicCAS "$1/grid.cuh"
