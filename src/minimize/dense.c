/* Cholesky's factor and its solves, row by row of the lower triangle. */
#include <float.h>
#include <math.h>
#include <string.h>

#include "minimize/minimize.h"

/* Four sums, in one order on every machine. */
double bpi_dot(const double *a, const double *b, int64_t n)
{
    double s[4] = {0};
    int64_t i = 0;
    for (; i + 4 <= n; i += 4)
        for (int k = 0; k < 4; k++)
            s[k] += a[i + k] * b[i + k];
    for (; i < n; i++)
        s[0] += a[i] * b[i];
    return (s[0] + s[1]) + (s[2] + s[3]);
}

bool bpi_cholesky(const double *a, double *l, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        double *row = l + i * n;
        for (int64_t j = 0; j <= i; j++) {
            double rest = a[i * n + j] - bpi_dot(row, l + j * n, j);
            if (j == i && !(rest > (double)i * DBL_EPSILON * a[i * n + i] && rest < INFINITY))
                return false; /* what is left is rounding */
            row[j] = j < i ? rest / l[j * n + j] : sqrt(rest);
        }
    }
    return true;
}

void bpi_cholesky_forward(const double *l, double *x, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        x[i] = (x[i] - bpi_dot(l + i * n, x, i)) / l[i * n + i];
}

void bpi_cholesky_solve(const double *l, double *x, int64_t n)
{
    bpi_cholesky_forward(l, x, n);
    for (int64_t i = n - 1; i >= 0; i--) {
        x[i] /= l[i * n + i];
        for (int64_t j = 0; j < i; j++)
            x[j] -= l[i * n + j] * x[i];
    }
}
