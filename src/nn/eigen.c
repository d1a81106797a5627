/* Eigenvectors of a symmetric matrix A: reflections make it tridiagonal, T = Q^T A Q (Householder,
 * 1958), then rotations chase what a shift has pushed out of the band down to its end, which makes
 * the last number off the diagonal vanish (QR with Wilkinson's shift: Golub, Van Loan, Matrix
 * Computations, 8.3). Errors are about 2^-52 of the largest eigenvalue. All walks are along rows. */
#include "nn/eigen.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "minimize/minimize.h"

static void add_to(double *to, const double *x, double factor, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        to[i] += factor * x[i];
}

/* A row's part right of the diagonal becomes the v of the reflection I - 2 v v^T / v^T v that
 * leaves of it only a first element, which is returned; *by is 2 / v^T v; 0: nothing to be done. */
static double reflector(double *x, int64_t n, double *by)
{
    double norm = sqrt(bpi_dot(x, x, n)), to = x[0] > 0 ? -norm : norm;
    *by = 0;
    if (norm == fabs(x[0])) /* it is that already; NaN is not */
        return x[0];
    *by = 1 / (norm * (norm + fabs(x[0])));
    x[0] -= to;
    return to;
}

/* The diagonal goes to value, what is beside it to off; the v stay in a, right of the diagonal, and
 * their factors in its first column. p is room for n numbers. */
static void make_tridiagonal(double *a, double *value, double *off, double *p, int64_t n)
{
    for (int64_t k = 0; k + 1 < n; k++) {
        double *v = a + k * n + k + 1, by;
        int64_t m = n - k - 1;
        value[k] = a[k * n + k];
        off[k] = reflector(v, m, &by);
        a[(k + 1) * n] = by;
        if (by == 0)
            continue;
        for (int64_t i = 0; i < m; i++)
            p[i] = by * bpi_dot(a + (k + 1 + i) * n + k + 1, v, m);
        add_to(p, v, -by / 2 * bpi_dot(p, v, m), m);
        for (int64_t i = 0; i < m; i++) {
            double *row = a + (k + 1 + i) * n + k + 1;
            add_to(row, p, -v[i], m);
            add_to(row, v, -p[i], m);
        }
    }
    value[n - 1] = a[n * n - 1];
    off[n - 1] = 0;
}

/* q = the product of all reflections, then turned over: its rows are the columns. */
static void multiply_out(const double *a, double *q, double *p, int64_t n)
{
    memset(q, 0, (size_t)(n * n) * sizeof *q);
    for (int64_t i = 0; i < n; i++)
        q[i * n + i] = 1;
    for (int64_t k = n - 2; k >= 0; k--) {
        const double *v = a + k * n + k + 1;
        double by = a[(k + 1) * n];
        int64_t m = n - k - 1;
        memset(p, 0, (size_t)m * sizeof *p);
        for (int64_t i = 0; i < m; i++)
            add_to(p, q + (k + 1 + i) * n + k + 1, v[i], m);
        for (int64_t i = 0; i < m; i++)
            add_to(q + (k + 1 + i) * n + k + 1, p, -by * v[i], m);
    }
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < i; j++) {
            double x = q[i * n + j];
            q[i * n + j] = q[j * n + i];
            q[j * n + i] = x;
        }
}

static void rotate(double *x, double *y, double c, double s, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        double xi = x[i], yi = y[i];
        x[i] = c * xi + s * yi;
        y[i] = c * yi - s * xi;
    }
}

/* One sweep of the block first .. last, whose off are not 0. */
static void sweep(double *vector, double *d, double *off, int64_t first, int64_t last, int64_t n)
{
    double half = (d[last - 1] - d[last]) / 2, e = off[last - 1];
    double shift = d[last] - e / (half + copysign(hypot(half, e), half)) * e;
    double x = d[first] - shift, z = off[first];
    for (int64_t k = first; k < last; k++) {
        double r = hypot(x, z), c = r > 0 ? x / r : 1, s = r > 0 ? z / r : 0;
        double a = d[k], b = off[k], g = d[k + 1];
        if (k > first)
            off[k - 1] = r;
        d[k] = c * c * a + 2 * c * s * b + s * s * g;
        d[k + 1] = s * s * a - 2 * c * s * b + c * c * g;
        off[k] = c * s * (g - a) + (c * c - s * s) * b;
        if (k + 1 < last) {
            x = off[k];
            z = s * off[k + 1];
            off[k + 1] *= c;
        }
        rotate(vector + k * n, vector + (k + 1) * n, c, s, n);
    }
}

/* The largest first; of each vector the largest element positive. */
static void sort(double *vector, double *value, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        int64_t best = i;
        for (int64_t k = i + 1; k < n; k++)
            best = value[k] > value[best] ? k : best;
        double *x = vector + i * n, *y = vector + best * n, at_i = value[i], most = 0;
        value[i] = value[best];
        value[best] = at_i;
        if (best != i)
            rotate(x, y, 0, 1, n);
        for (int64_t k = 0; k < n; k++)
            most = fabs(x[k]) > fabs(most) ? x[k] : most;
        for (int64_t k = 0; k < n && most < 0; k++)
            x[k] = -x[k];
    }
}

bool bpi_eigen(double *a, double *vector, double *value, double *room, int64_t n)
{
    enum { SWEEPS = 60 }; /* for one eigenvalue; two or three are usual */
    double *off = room, size = 0;
    make_tridiagonal(a, value, off, room + n, n);
    multiply_out(a, vector, room + n, n);
    for (int64_t i = 0; i < n; i++)
        size = fmax(size, fabs(value[i]) + fabs(off[i]));
    for (int64_t last = n - 1, sweeps = 0; last > 0;) {
        int64_t first = last;
        while (first > 0 && fabs(off[first - 1]) > DBL_EPSILON * size)
            first--;
        if (first < last && ++sweeps > SWEEPS)
            return false;
        if (first < last) {
            sweep(vector, value, off, first, last, n);
        } else {
            last--;
            sweeps = 0;
        }
    }
    sort(vector, value, n);
    return true;
}
