/* Nets in contexts of their own, for tests that hold two of them against each other. */
#ifndef BPI_TEST_OWN_NET_H
#define BPI_TEST_OWN_NET_H

#include "suite.h"

/* A net in a context of its own. */
static inline void own(net *n, bp_dtype dtype)
{
    bp_context *c;
    cr_assert_eq(bp_open(test_device(), &c), BP_OK);
    cr_assert_eq(bp_seed(c, 5), BP_OK);
    cr_assert_eq(net_open(n, c, dtype, 0.25), BP_OK);
}

static inline void disown(net *n)
{
    net_close(n);
    bp_close(n->ctx);
}

static inline void equal_bits(net *a, net *b, int step)
{
    size_t na, nb;
    void *x = net_state(a, &na), *y = net_state(b, &nb);
    cr_assert(x && y && na == nb);
    cr_assert_arr_eq(x, y, na, "step %d", step);
    free(x);
    free(y);
}

#endif
