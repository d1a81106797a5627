/* moments.h: in double, as distances from the first element, so that equal ones have no
 * variance. */
#include "cpu/moments.h"

double BPI_CPU(wide_moments)(const real *x, int64_t n, int64_t step, int32_t centred, real *mean,
                             real *low)
{
    const double from = centred ? (double)x[0] : 0;
    double sum = 0, squares = 0;
    for (int64_t i = 0; centred && i < n; i++)
        sum += (double)x[i * step] - from;
    const double apart = sum / (double)n;
    for (int64_t i = 0; i < n; i++) {
        const double d = ((double)x[i * step] - from) - apart;
        squares += d * d;
    }
    *mean = (real)(from + apart);
    *low = (real)((from - (double)*mean) + apart);
    return squares / (double)n;
}
