/* Five of NIST's problems of non-linear regression, with their certified answers: StRD, 1998,
 * public domain (itl.nist.gov/div898/strd/nls). From lower to higher difficulty. */
#ifndef BPI_TEST_NIST_H
#define BPI_TEST_NIST_H

#include <bpcuda/bpcuda.h>

static const double misra1a[][2] = { /* y, x */
    {10.07, 77.6}, {14.73, 114.9}, {17.94, 141.1}, {23.93, 190.8}, {29.61, 239.9}, {35.18, 289},
    {40.02, 332.8}, {44.82, 378.4}, {50.76, 434.8}, {55.05, 477.3}, {61.01, 536.8},
    {66.4, 593.1}, {75.47, 689.1}, {81.78, 760}};

static const double mgh17[][2] = { /* y, x */
    {0.844, 0}, {0.908, 10}, {0.932, 20}, {0.936, 30}, {0.925, 40}, {0.908, 50}, {0.881, 60},
    {0.85, 70}, {0.818, 80}, {0.784, 90}, {0.751, 100}, {0.718, 110}, {0.685, 120}, {0.658, 130},
    {0.628, 140}, {0.603, 150}, {0.58, 160}, {0.558, 170}, {0.538, 180}, {0.522, 190},
    {0.506, 200}, {0.49, 210}, {0.478, 220}, {0.467, 230}, {0.457, 240}, {0.448, 250},
    {0.438, 260}, {0.431, 270}, {0.424, 280}, {0.42, 290}, {0.414, 300}, {0.411, 310},
    {0.406, 320}};

static const double thurber[][2] = { /* y, x */
    {80.574, -3.067}, {84.248, -2.981}, {87.264, -2.921}, {87.195, -2.912}, {89.076, -2.84},
    {89.608, -2.797}, {89.868, -2.702}, {90.101, -2.699}, {92.405, -2.633}, {95.854, -2.481},
    {100.696, -2.363}, {101.06, -2.322}, {401.672, -1.501}, {390.724, -1.46}, {567.534, -1.274},
    {635.316, -1.212}, {733.054, -1.1}, {759.087, -1.046}, {894.206, -0.915}, {990.785, -0.714},
    {1090.109, -0.566}, {1080.914, -0.545}, {1122.643, -0.4}, {1178.351, -0.309},
    {1260.531, -0.109}, {1273.514, -0.103}, {1288.339, 0.01}, {1327.543, 0.119},
    {1353.863, 0.377}, {1414.509, 0.79}, {1425.208, 0.963}, {1421.384, 1.006}, {1442.962, 1.115},
    {1464.35, 1.572}, {1468.705, 1.841}, {1447.894, 2.047}, {1457.628, 2.2}};

static const double mgh10[][2] = { /* y, x */
    {34780, 50}, {28610, 55}, {23650, 60}, {19630, 65}, {16370, 70}, {13720, 75}, {11540, 80},
    {9744, 85}, {8261, 90}, {7030, 95}, {6005, 100}, {5147, 105}, {4427, 110}, {3820, 115},
    {3307, 120}, {2872, 125}};

static const double rat43[][2] = { /* y, x */
    {16.08, 1}, {33.83, 2}, {65.8, 3}, {97.2, 4}, {191.55, 5}, {326.2, 6}, {386.87, 7},
    {520.53, 8}, {590.03, 9}, {651.92, 10}, {724.93, 11}, {699.56, 12}, {689.96, 13},
    {637.56, 14}, {717.41, 15}};

/* b[i], which broadcasts over the rows. */
static inline bp_tensor *nist_b(bp_tensor *b, int i)
{
    return bp_slice(b, 0, i, i + 1, 1);
}

/* b1 (1 - e^(-b2 x)) */
static inline bp_tensor *misra1a_model(bp_tensor *b, bp_tensor *x)
{
    return bp_mul(nist_b(b, 0), bp_neg(bp_expm1(bp_neg(bp_mul(nist_b(b, 1), x)))));
}

/* b1 + b2 e^(-x b4) + b3 e^(-x b5) */
static inline bp_tensor *mgh17_model(bp_tensor *b, bp_tensor *x)
{
    bp_tensor *one = bp_mul(nist_b(b, 1), bp_exp(bp_neg(bp_mul(x, nist_b(b, 3)))));
    bp_tensor *two = bp_mul(nist_b(b, 2), bp_exp(bp_neg(bp_mul(x, nist_b(b, 4)))));
    return bp_add(nist_b(b, 0), bp_add(one, two));
}

/* (b1 + b2 x + b3 x^2 + b4 x^3) / (1 + b5 x + b6 x^2 + b7 x^3) */
static inline bp_tensor *thurber_model(bp_tensor *b, bp_tensor *x)
{
    bp_tensor *up = nist_b(b, 3), *down = nist_b(b, 6);
    for (int i = 2; i >= 0; i--)
        up = bp_add(bp_mul(up, x), nist_b(b, i));
    for (int i = 5; i >= 4; i--)
        down = bp_add(bp_mul(down, x), nist_b(b, i));
    return bp_div(up, bp_shift(bp_mul(down, x), 1));
}

/* b1 e^(b2 / (x + b3)) */
static inline bp_tensor *mgh10_model(bp_tensor *b, bp_tensor *x)
{
    return bp_mul(nist_b(b, 0), bp_exp(bp_div(nist_b(b, 1), bp_add(x, nist_b(b, 2)))));
}

/* b1 / (1 + e^(b2 - b3 x))^(1 / b4) */
static inline bp_tensor *rat43_model(bp_tensor *b, bp_tensor *x)
{
    bp_tensor *curve = bp_softplus(bp_sub(nist_b(b, 1), bp_mul(nist_b(b, 2), x)));
    return bp_mul(nist_b(b, 0), bp_exp(bp_neg(bp_div(curve, nist_b(b, 3)))));
}

typedef struct nist_problem {
    const char *name;
    const double (*data)[2];
    int rows, n;
    bp_tensor *(*model)(bp_tensor *b, bp_tensor *x);
    double start[2][7], certified[7], squares;
} nist_problem;

#define NIST_DATA(of) #of, of, (int)(sizeof of / sizeof *of)
static const nist_problem nist_problems[] = {
    {NIST_DATA(misra1a), 2, misra1a_model, {{500, 1e-4}, {250, 5e-4}},
     {2.3894212918e2, 5.5015643181e-4}, 1.2455138894e-1},
    {NIST_DATA(mgh17), 5, mgh17_model, {{50, 150, -100, 1, 2}, {0.5, 1.5, -1, 0.01, 0.02}},
     {3.7541005211e-1, 1.9358469127, -1.4646871366, 1.2867534640e-2, 2.2122699662e-2},
     5.4648946975e-5},
    {NIST_DATA(thurber), 7, thurber_model,
     {{1000, 1000, 400, 40, 0.7, 0.3, 0.03}, {1300, 1500, 500, 75, 1, 0.4, 0.05}},
     {1.2881396800e3, 1.4910792535e3, 5.8323836877e2, 7.5416644291e1, 9.6629502864e-1,
      3.9797285797e-1, 4.9727297349e-2}, 5.6427082397e3},
    {NIST_DATA(mgh10), 3, mgh10_model, {{2, 400000, 25000}, {0.02, 4000, 250}},
     {5.6096364710e-3, 6.1813463463e3, 3.4522363462e2}, 8.7945855171e1},
    {NIST_DATA(rat43), 4, rat43_model, {{100, 10, 1, 1}, {700, 5, 0.75, 1.3}},
     {6.9964151270e2, 5.2771253025, 7.5962938329e-1, 1.2792483859}, 8.7864049080e3}};
enum { NIST_PROBLEMS = sizeof nist_problems / sizeof *nist_problems };

#endif
