/* A library of cuDNN's, and a program of descriptors that it is given: what the files of
 * cudnn_programs share. */
#ifndef BPI_CUDNN_RUN_H
#define BPI_CUDNN_RUN_H

#include <stdbool.h>
#include <stdint.h>

#include "cuda/cudnn_abi.h"

extern struct library {
    size_t (*version)(void);
    const char *(*error_string)(cudnnStatus_t);
    cudnnStatus_t (*create)(cudnnBackendDescriptorType_t, cudnnBackendDescriptor_t *);
    cudnnStatus_t (*destroy)(cudnnBackendDescriptor_t);
    cudnnStatus_t (*set)(cudnnBackendDescriptor_t, cudnnBackendAttributeName_t,
                         cudnnBackendAttributeType_t, int64_t, const void *);
    cudnnStatus_t (*get)(cudnnBackendDescriptor_t, cudnnBackendAttributeName_t,
                         cudnnBackendAttributeType_t, int64_t, int64_t *, void *);
    cudnnStatus_t (*finalize)(cudnnBackendDescriptor_t);
} lib;

enum { X, W, Y, B, SUM, OUT, WINDOW, CONV, ADDS, ADD, RELUS, RELU, GRAPH, DEVICE, HEUR, PLAN, PACK,
       PARTS };

enum { FORWARD, DATA_GRADIENT, FILTER_GRADIENT, FUSED, DIRECTIONS };

/* An attribute of a part. A descriptor is the number of a part: `value` points to parts. */
typedef struct field {
    int part;
    cudnnBackendAttributeName_t name;
    cudnnBackendAttributeType_t type;
    int64_t count;
    const void *value;
} field;

typedef struct row {
    const char *name;
    int direction;
    field changes[8];
} row;

enum { DESCRIBED_DEVICES = 90800, MOST_CONFIGS = 64, LINE = 200 };

typedef struct program {
    cudnnBackendDescriptor_t made[PARTS], configs[MOST_CONFIGS];
    int direction;
    field fields[96];
    int count;
    char said[LINE];
} program;

/* The program that is right, with the changes of a row; makes a part, and those before it were
 * made: false where the library says no, and `said` has how; destroys all. */
void begin(program *p, const row *r);
bool make_part(program *p, int part);
void end(program *p);
/* Whether there is an engine; its configuration is then the first of `configs`. */
bool take_engine(program *p);
/* A line: "what of: STATUS". */
void say(const char *what, const char *of, cudnnStatus_t status);

/* cudnn_choices.c */
void run_choices(const row *of);

#endif
