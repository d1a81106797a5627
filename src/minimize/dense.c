/* Cholesky's factor and its solves, row by row of the lower triangle; eigenvalues of a symmetric
 * matrix. */
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

/* a becomes tridiagonal by Householder's reflections, from the last row on: w its diagonal,
 * off[1..] beside it. A reflection is I - v v^T / h, on both sides. */
static void tridiagonal(double *a, int64_t n, double *w, double *off)
{
    for (int64_t i = n - 1; i > 0; i--) {
        double *v = a + i * n, size = sqrt(bpi_dot(v, v, i)), last = v[i - 1], k = 0;
        w[i] = v[i];
        off[i] = last > 0 ? -size : size;
        double h = size * size - last * off[i];
        if (!(h > 0)) /* it is so already */
            continue;
        v[i - 1] = last - off[i];
        for (int64_t j = 0; j < i; j++) { /* p = a v / h, in w */
            double sum = bpi_dot(a + j * n, v, j + 1);
            for (int64_t m = j + 1; m < i; m++)
                sum += a[m * n + j] * v[m];
            w[j] = sum / h;
            k += v[j] * w[j] / (2 * h);
        }
        for (int64_t j = 0; j < i; j++)
            w[j] -= k * v[j];
        for (int64_t j = 0; j < i; j++)
            for (int64_t m = 0; m <= j; m++)
                a[j * n + m] -= v[j] * w[m] + w[j] * v[m];
    }
    w[0] = a[0];
    off[0] = 0;
}

/* Eigenvalues of the tridiagonal matrix below x: the negative pivots of its difference from x. */
static int64_t below(const double *w, const double *off, int64_t n, double x)
{
    int64_t count = 0;
    double pivot = 1;
    for (int64_t i = 0; i < n; i++) {
        pivot = w[i] - x - off[i] * off[i] / pivot;
        if (fabs(pivot) < DBL_MIN)
            pivot = -DBL_MIN;
        count += pivot < 0;
    }
    return count;
}

/* By bisection between Gershgorin's bounds (Givens, 1954): each to rounding, whatever the others
 * are. */
void bpi_eigenvalues(double *a, int64_t n, double *w, double *off)
{
    double most = 0;
    tridiagonal(a, n, w, off);
    for (int64_t i = 0; i < n; i++)
        most = fmax(most, fabs(w[i]) + fabs(off[i]) + (i + 1 < n ? fabs(off[i + 1]) : 0));
    for (int64_t k = 0; k < n; k++) {
        double low = k ? a[k - 1] : -most, high = most;
        for (int tries = 0; tries < 100 && high - low > DBL_EPSILON * most / 4; tries++) {
            double middle = low + (high - low) / 2;
            *(below(w, off, n, middle) > k ? &high : &low) = middle;
        }
        a[k] = low + (high - low) / 2;
    }
    memcpy(w, a, (size_t)n * sizeof *w);
}
