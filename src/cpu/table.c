/* The kernels of one build, by op id, from the list in ops.def: a kernel file that is missing is
 * a symbol that does not link. Views have none. device.c, which knows every build, fills one table
 * per compute type of a device. */
#include "cpu/kernel.h"

#define BPI_OP(name) extern const bpi_op_kernels BPI_CPU(op_##name);
#include "door/ops.def"

void BPI_CPU(fill)(bpi_op_kernels *table); /* [BPI_OP_COUNT] */
void BPI_CPU(fill)(bpi_op_kernels *table)
{
#define BPI_OP(name) table[BPI_OP_##name] = BPI_CPU(op_##name);
#include "door/ops.def"
}
