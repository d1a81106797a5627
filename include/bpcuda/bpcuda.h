/* bpcuda: train neural networks from C, on a GPU or without one. The umbrella over all headers. */
#ifndef BPCUDA_BPCUDA_H
#define BPCUDA_BPCUDA_H

#include "autograd.h"
#include "checkpoint.h"
#include "common.h"
#include "context.h"
#include "curvature.h"
#include "data.h"
#include "derive.h"
#include "evolve.h"
#include "export.h"
#include "dlpack.h"
#include "graph.h"
#include "layers.h"
#include "minimize.h"
#include "model.h"
#include "op.h"
#include "ops.h"
#include "optim.h"
#include "params.h"
#include "plan.h"
#include "schedule.h"
#include "tensor.h"
#include "trainer.h"

#endif
