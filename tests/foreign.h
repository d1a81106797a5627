/* For the suites of DLPack: what another library hands out. It is a second context of the same
 * device, whose exports a test describes anew at will. */
#ifndef BPI_TEST_FOREIGN_H
#define BPI_TEST_FOREIGN_H

#include "suite.h"

#include "core/context.h"
#include "core/dlpack.h"

/* What another library hands out: an export of a tensor of `other`, described anew. */
typedef struct foreign {
    struct DLManagedTensorVersioned versioned;
    struct DLManagedTensor legacy;
    struct DLManagedTensorVersioned *inner;
    bpi_dl_tensor *d; /* of the form that is handed out */
    int64_t shape[10], strides[10];
    int deleted;
    void (*then)(void); /* what its deleter does besides */
} foreign;

static bp_context *other;

static inline void open_both(void)
{
    setup();
    cr_assert_eq(bp_open(test_device(), &other), BP_OK);
}

static inline void close_both(void)
{
    bp_close(other);
    teardown();
}

static inline void deleted(foreign *f)
{
    f->deleted++;
    f->inner->deleter(f->inner);
    if (f->then)
        f->then();
}

static inline void delete_versioned(struct DLManagedTensorVersioned *m)
{
    deleted(m->manager_ctx);
}

static inline void delete_legacy(struct DLManagedTensor *m)
{
    deleted(m->manager_ctx);
}

/* Of t, which it frees. */
static inline void make(foreign *f, bp_tensor *t, bool legacy)
{
    *f = (foreign){.deleted = 0};
    cr_assert(t);
    cr_assert_eq(bp_dlpack_export(t, &f->inner), BP_OK, "%s", bp_error_text(other));
    f->versioned = *f->inner;
    f->legacy.dl_tensor = f->inner->dl_tensor;
    f->versioned.manager_ctx = f->legacy.manager_ctx = f;
    f->versioned.deleter = delete_versioned;
    f->legacy.deleter = delete_legacy;
    f->d = legacy ? &f->legacy.dl_tensor : &f->versioned.dl_tensor;
    for (int i = 0; i < f->d->ndim; i++) {
        f->shape[i] = f->d->shape[i];
        f->strides[i] = f->d->strides[i];
    }
    f->d->shape = f->shape;
    f->d->strides = f->strides;
    bp_free(t);
}

static inline bp_status take(foreign *f, bp_tensor **t)
{
    return f->d == &f->legacy.dl_tensor ? bp_dlpack_import_legacy(ctx, &f->legacy, t)
                                        : bp_dlpack_import(ctx, &f->versioned, t);
}

static inline bp_tensor *counted(bp_dtype dtype, int64_t n)
{
    double v[64];
    for (int i = 0; i < 64; i++)
        v[i] = i;
    return tensor_in(other, dtype, BP_SHAPE(n), v, 0);
}

/* 0, 1, 2, ... of `other`, in ctx. */
static inline bp_tensor *taken(foreign *f, int64_t n)
{
    bp_tensor *t;
    make(f, counted(BP_F64, n), false);
    OK(take(f, &t));
    return t;
}

#endif
