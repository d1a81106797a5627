#!/bin/sh
# symbols.sh NM SHARED STATIC: the shared library exports bp_ names only, the archive defines bp_ and
# bpi_ names only, and neither can end or print from its host.
nm=$1 shared=$2 static=$3 status=0
fail() {
    if [ -n "$2" ]; then
        echo "FAILED: $1:"
        echo "$2"
        status=1
    fi
}
# Versions of the sanitizers' own symbols are not ours.
exported=$($nm -D --defined-only "$shared" | awk '{print $NF}' | grep -Ev '^(__asan|__ubsan|__tsan|__odr_asan)')
fail "exported, and not bp_" "$(echo "$exported" | grep -v '^bp_')"
fail "internal, and exported" "$(echo "$exported" | grep '^bpi_')"
defined=$($nm --defined-only "$static" | awk 'NF == 3 && $2 ~ /[A-Z]/ {print $3}')
fail "defined in the archive, and neither bp_ nor bpi_" \
    "$(echo "$defined" | grep -Ev '^(bp_|bpi_|__odr_asan|DW\.ref\.)')" # the compiler's, for unwinding
fail "a library must not" "$($nm -D --undefined-only "$shared" | awk '{print $NF}' |
    grep -E '^(abort|exit|_exit|quick_exit|__assert_fail|printf|puts|putchar|perror|signal|sigaction|srand|rand|setlocale)(@|$)')"
exit $status
