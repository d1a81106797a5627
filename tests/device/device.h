/* What the files of test_device share: the device, its sections, and the net that they train. */
#ifndef BPI_TEST_DEVICE_H
#define BPI_TEST_DEVICE_H

#include <bpcuda/bpcuda.h>

extern const char *name; /* of the device */
extern bp_context *ctx;  /* on it */

void graphs(void); /* device_graphs.c */
void faults(void); /* device_faults.c */
void optimizers(void); /* device_optimizers.c */
void convolutions(void); /* device_convolutions.c */

/* --- device_net.c: 784-512-10, batches of 128 ------------------------------------------------- */

enum { IN = 784, HIDDEN = 512, OUT = 10, BATCH = 128 };

typedef struct mlp {
    bp_params *params;
    bp_optimizer *adam;
    bp_tensor *x, *labels, *loss, *w[2], *b[2];
    double dropout;
} mlp;

bp_status mlp_step(bp_context *c, void *user); /* of the mlp */
int mlp_open(mlp *m, double dropout);          /* 0: it failed */
void mlp_close(mlp *m);
/* All weights, to compare bits; yours to free. */
float *mlp_weights(mlp *m);

#endif
