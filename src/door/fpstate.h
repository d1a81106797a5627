/* The one floating-point state every job runs in: round to nearest, denormals kept, no traps.
 *
 * A host may run its threads with flush-to-zero (audio does) or with another rounding mode, and a
 * new thread inherits that. bpi_fp_enter sets our state and returns the thread's own, for
 * bpi_fp_leave to put back; in two steps, bpi_fp_own and bpi_fp_set. Reading a control register
 * costs a few cycles, writing one drains the pipeline, so it is written only where it differs. */
#ifndef BPI_FPSTATE_H
#define BPI_FPSTATE_H

#if defined(__SSE2_MATH__)

#include <xmmintrin.h>

typedef unsigned bpi_fp_state;

/* MXCSR: all exceptions masked, rounding mode 0 (nearest), FTZ and DAZ clear. The low six bits
 * record exceptions that happened; they are the host's and do not make a state differ. */
enum { BPI_MXCSR = 0x1F80, BPI_MXCSR_FLAGS = 0x3F };

static inline bpi_fp_state bpi_fp_own(void)
{
    return _mm_getcsr();
}

static inline void bpi_fp_set(bpi_fp_state own)
{
    if ((own & ~(unsigned)BPI_MXCSR_FLAGS) != BPI_MXCSR)
        _mm_setcsr(BPI_MXCSR);
}

static inline void bpi_fp_leave(bpi_fp_state own)
{
    if ((own & ~(unsigned)BPI_MXCSR_FLAGS) != BPI_MXCSR)
        _mm_setcsr(own);
}

#else /* aarch64 and others: the default environment of the C library is the state we want */

#include <fenv.h>

typedef fenv_t bpi_fp_state;

static inline bpi_fp_state bpi_fp_own(void)
{
    fenv_t own;
    fegetenv(&own);
    return own;
}

static inline void bpi_fp_set(bpi_fp_state own)
{
    (void)own;
    fesetenv(FE_DFL_ENV);
}

static inline void bpi_fp_leave(bpi_fp_state own)
{
    fesetenv(&own);
}

#endif

static inline bpi_fp_state bpi_fp_enter(void)
{
    bpi_fp_state own = bpi_fp_own();
    bpi_fp_set(own);
    return own;
}

#endif
