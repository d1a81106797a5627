/* What the files of test_sim share. */
#ifndef BPI_TEST_SIM_H
#define BPI_TEST_SIM_H

#include "sim/control.h"

extern const struct sim_control *sim;

int nothing_left(void); /* of what the device allocates */
void cudnn(void);       /* sim_cudnn.c */
void plans(void);       /* sim_plans.c */

#endif
