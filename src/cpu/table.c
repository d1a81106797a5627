/* The kernels of one build, by op id, from the list in ops.def: a kernel file that is missing is
 * a symbol that does not link. Views have none. Of pointers, because C wants constants here;
 * device.c, which knows every build, copies one table per compute type into a device. */
#include "cpu/kernel.h"

#define BPI_OP(name) extern const bpi_op_kernels BPI_CPU(op_##name);
#include "ops.def"

extern const bpi_op_kernels *const BPI_CPU(table)[BPI_OP_COUNT];
const bpi_op_kernels *const BPI_CPU(table)[BPI_OP_COUNT] = {
#define BPI_OP(name) [BPI_OP_##name] = &BPI_CPU(op_##name),
#define BPI_VIEW(name) [BPI_OP_##name] = NULL,
#include "ops.def"
};
