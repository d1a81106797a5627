#!/bin/sh
# nvcc.sh LOG COMMAND...: runs a compiler, keeps what it says of each kernel's registers in LOG, and
# shows the rest.
log=$1
shift
"$@" >"$log" 2>&1
status=$?
grep -vE '^ptxas info|^ +[0-9]+ bytes stack frame|^$' "$log" >&2
exit $status
