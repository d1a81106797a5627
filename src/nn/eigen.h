/* Eigenvalues and eigenvectors of a symmetric matrix. */
#ifndef BPI_NN_EIGEN_H
#define BPI_NN_EIGEN_H

#include <stdbool.h>
#include <stdint.h>

/* a [n, n], symmetric and finite, is used up; value[n] gets the eigenvalues, the largest first, and
 * row i of vector[n, n] the eigenvector of value i, of norm 1, its largest element positive. room
 * has 2 n numbers. O(n^3): 784 columns take about a second. False where it does not converge, which
 * no finite matrix is known to do. */
bool bpi_eigen(double *a, double *vector, double *value, double *room, int64_t n);

#endif
