/* An array of NumPy's as a column of a set, or for a parameter: npy.c; several of them: npz.c. */
#ifndef BPI_NPY_H
#define BPI_NPY_H

#include "data/set.h"
#include "io/safetensors.h"

/* Adds the array that `file` goes on with, whose path errors name, as a column. *d is made where it
 * is NULL, of as many rows. */
bp_status bpi_npy_add(bpi_file *file, const char *who, const char *name, bp_data **d);
/* Adds it, as it is, as a tensor of this name, which must stay where it is. */
bp_status bpi_npy_entry(bpi_file *file, const char *who, const char *name, bpi_safetensors *f);

#endif
