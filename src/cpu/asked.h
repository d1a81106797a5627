/* Functions that a formula asks for.
 *
 * A formula is a loop over one element at a time, of which the compiler makes vectors. Powers and
 * the normal distribution are better written for vectors: with AVX-512 in f32 they take
 * instructions that no loop becomes. There a unit of a run goes over its formula twice: it notes
 * what is asked for, has it found (power.h, normal.h), and then uses it. Elsewhere the functions
 * are ordinary ones. */
#ifndef BPI_CPU_ASKED_H
#define BPI_CPU_ASKED_H

#include "cpu/elementwise.h"
#include "cpu/normal.h"
#include "cpu/power.h"

#if BPI_VECTOR_BYTES == 64 && !BPI_F64

/* What a formula asks: x^p, or, of one x, P(N > |x|) and the density there. */
typedef struct bpi_asked {
    real x[LANES], p[LANES], found[LANES], density[LANES];
    int power, normal;
} bpi_asked;

INLINE real bpi_power_of(bpi_asked *of, int asks, int i, real x, real p)
{
    if (!asks)
        return of->found[i];
    of->x[i] = x;
    of->p[i] = p;
    of->power = 1;
    return 1;
}

INLINE real bpi_normal_of(bpi_asked *of, const real *found, int asks, int i, real x)
{
    if (!asks)
        return found[i];
    of->x[i] = x;
    of->normal = 1;
    return 1;
}

#define pow_of(x, p) bpi_power_of(&asked, asks, i, x, p)
#define bpi_normal_above(x) bpi_normal_of(&asked, asked.found, asks, i, x)
#define normal_pdf_of(x) bpi_normal_of(&asked, asked.density, asks, i, x)

INLINE void bpi_answer(bpi_asked *of)
{
    if (of->power)
        store(of->found, bpi_powers_of(load(of->x), load(of->p)));
    if (of->normal) {
        vec above, density;
        bpi_normals_of(load(of->x), &above, &density);
        store(of->found, above);
        store(of->density, density);
    }
}

/* A unit of a run whose formula may ask: `made` is what its body makes. */
#define BPI_ASKING_UNIT(made, ...)                                                            \
    bpi_asked asked;                                                                          \
    asked.power = asked.normal = 0;                                                           \
    {                                                                                         \
        enum { asks = 1 };                                                                    \
        BPI_UNIT(__VA_ARGS__; (void)made)                                                     \
    }                                                                                         \
    bpi_answer(&asked);                                                                       \
    {                                                                                         \
        enum { asks = 0 };                                                                    \
        BPI_UNIT(__VA_ARGS__; out[i] = made)                                                  \
    }

#else
#define BPI_ASKING_UNIT(made, ...) BPI_UNIT(__VA_ARGS__; out[i] = made)
#endif

#endif
