/* The range test of rates: steps whose rate grows, and then all is put back that a checkpoint would
 * hold, from host memory. */
#include <math.h>
#include <string.h>

#include "core/context.h"
#include "data/data.h"
#include "train/checkpoint.h"

enum { STEPS_MAX = 10000000 };

/* --- what a checkpoint holds, kept meanwhile ------------------------------------------------- */

static size_t bytes_of(const bp_tensor *t)
{
    return (size_t)bp_shape_count(bp_shape_of(t)) * bp_dtype_bytes(bp_dtype_of(t));
}

static size_t all_bytes(const bp_checkpoint *c)
{
    size_t all = 0;
    for (int64_t i = 0; i < c->n; i++)
        all += bytes_of(c->item[i].tensor);
    return all;
}

static bp_status keep(bp_checkpoint *c, char *to)
{
    BPI_TRY(bpi_rng_save(c->ctx, &c->rng));
    for (int64_t i = 0; i < c->n; i++) {
        size_t bytes = bytes_of(c->item[i].tensor);
        if (c->item[i].host)
            memcpy(to, c->item[i].host, bytes);
        else
            BPI_TRY(bp_read(c->item[i].tensor, to, bytes));
        to += bytes;
    }
    return BP_OK;
}

static bp_status put_back(bp_checkpoint *c, const char *from)
{
    for (int64_t i = 0; i < c->n; i++) {
        size_t bytes = bytes_of(c->item[i].tensor);
        if (c->item[i].host)
            memcpy(c->item[i].host, from, bytes);
        else
            BPI_TRY(bp_write(c->item[i].tensor, from, bytes));
        from += bytes;
    }
    for (int64_t i = 0; i < c->n_stores; i++)
        BPI_TRY(bp_grad_clear(c->store[i]));
    return bpi_rng_restore(c->ctx, &c->rng);
}

/* --- the steps ------------------------------------------------------------------------------- */

typedef struct range {
    bp_trainer *t;
    double from, to;
    int64_t steps, first; /* first: of the run, by the schedule's count */
    double *loss, *smooth, *once, *part; /* [steps]; once: smoothed once; part: of its weights */
    double fall;                         /* of weights, from a step to the next */
    bp_rate_range found;
} range;

static double rate_at(const range *r, double i)
{
    return r->from * pow(r->to / r->from, i / (double)(r->steps - 1));
}

/* As a schedule, whose factors are multiplied by the option. */
static double factor(void *user, double epoch, double epochs)
{
    range *r = user;
    double i = rint(epoch * (double)r->t->steps) - (double)r->first;
    (void)epochs;
    return rate_at(r, fmax(0, fmin(i, (double)r->steps - 1))) / r->t->now.option[BP_TRAIN_LR];
}

/* Sums of losses and of weights over the steps of this epoch. */
static bp_status sums(bp_trainer *t, double sum[2])
{
    return bp_read_all(t->ctx, (bp_tensor *[]){t->loss, t->weight}, 2, sum, 2);
}

static bp_status one_step(range *r, double *loss)
{
    bp_trainer *t = r->t;
    double before[2] = {0, 0}, after[2];
    bool new_epoch = !t->begun || t->now.step == t->steps;
    if (!new_epoch)
        BPI_TRY(sums(t, before));
    BPI_TRY(bpi_train_step(t));
    BPI_TRY(sums(t, after));
    double rows = (double)(t->now.step <= t->cut.full ? t->cut.batch : t->cut.rest);
    double weight = after[1] - before[1];
    *loss = (after[0] - before[0]) * (double)t->cut.batch / (weight > 0 ? weight : rows);
    return BP_OK;
}

static bp_status walk(range *r)
{
    double mean = 0, part = 0, fall = r->fall, first = 0;
    bp_status st = BP_OK;
    for (int64_t i = 0; i < r->steps && !r->found.diverged; i++) {
        st = one_step(r, &r->loss[i]);
        if (st != BP_OK && (st != BP_ERR_NONFINITE || i == 0))
            return st;
        mean = fall * mean + (1 - fall) * r->loss[i];
        part = fall * part + 1 - fall;
        first = i == 0 ? r->loss[0] : first;
        r->found.diverged = st != BP_OK || !(mean / part <= 2 * fabs(first));
        r->found.steps = st == BP_OK && isfinite(r->loss[i]) ? i + 1 : i;
    }
    return isfinite(first) ? BP_OK
                           : bpi_fail(r->t->ctx, BP_ERR_NONFINITE, "trainer_range: the loss is %g "
                                      "at the first step", first);
}

/* --- what they say --------------------------------------------------------------------------- */

/* to[i] = the mean of all from[k], with weights fall^|i - k|. */
static void smooth_out(const range *r, const double *from, double *to)
{
    int64_t n = r->found.steps;
    double sum = 0, part = 0;
    for (int64_t i = 0; i < n; i++) { /* of those before it */
        to[i] = sum;
        r->part[i] = part;
        sum = r->fall * (sum + from[i]);
        part = r->fall * (part + 1);
    }
    sum = part = 0;
    for (int64_t i = n - 1; i >= 0; i--) { /* and behind it */
        to[i] = (to[i] + from[i] + sum) / (r->part[i] + 1 + part);
        sum = r->fall * (sum + from[i]);
        part = r->fall * (part + 1);
    }
}

static void judge(range *r)
{
    int64_t n = r->found.steps, least = 0;
    for (int64_t i = 0; i < n; i++) /* what went away does not reach far back */
        r->smooth[i] = fmin(r->loss[i], r->loss[0] + fabs(r->loss[0]));
    smooth_out(r, r->smooth, r->once);
    smooth_out(r, r->once, r->smooth);
    for (int64_t i = 0; i < n; i++)
        least = r->smooth[i] < r->smooth[least] ? i : least;
    r->found.least = rate_at(r, (double)least);
    r->found.rate = least > 0 ? r->found.least / 3 : 0;
}

/* --- the call -------------------------------------------------------------------------------- */

static bp_status test_kept(range *r, char *kept)
{
    bp_trainer *t = r->t;
    bp_schedule *own, *before = t->schedule;
    BPI_TRY(keep(t->checkpoint, kept));
    BPI_TRY(bp_schedule_own(t->ctx, factor, r, &own));
    t->schedule = own;
    r->first = t->now.epoch * t->steps + t->now.step;
    t->stale = true;
    bp_status st = walk(r);
    t->schedule = before;
    bp_schedule_free(own);
    bp_status back = put_back(t->checkpoint, kept);
    t->begun = false;
    t->ctx->refused_step = 0;
    return st != BP_OK ? st : back;
}

static bp_status test(range *r)
{
    bp_trainer *t = r->t;
    bool ready = t->ready;
    BPI_TRY(bpi_train_prepare(t));
    size_t bytes = all_bytes(t->checkpoint);
    char *kept = bpi_host_alloc(t->ctx, bytes);
    bp_status st = kept ? test_kept(r, kept)
                        : bpi_fail(t->ctx, BP_ERR_NOMEM, "trainer_range: no memory for %zu bytes",
                                   bytes);
    bpi_host_free(t->ctx, kept, bytes);
    if (!ready) /* options may be set again */
        bpi_train_release(t);
    return st;
}

static bp_status check(bp_trainer *t, double from, double to, int64_t steps,
                       bp_rate_range *found)
{
    bp_context *ctx = t->ctx;
    BPI_TRY(bpi_given(ctx, found, "trainer_range: found"));
    BPI_TRY(bpi_result_fits(ctx, "trainer_range", "found", found, sizeof *found));
    if (t->running || bpi_train_arrives(t))
        return bpi_fail(ctx, BP_ERR_STATE, "trainer_range: %s", t->running
                        ? "called by a callback of this trainer"
                        : "a source's batches cannot be taken back");
    if (!(from > 0 && from < to && to <= 1e30))
        return bpi_fail(ctx, BP_ERR_ARG, "trainer_range: rates from %g to %g; 0 < from < to is "
                        "wanted", from, to);
    if (steps >= 2 && steps <= STEPS_MAX)
        return BP_OK;
    return bpi_fail(ctx, BP_ERR_ARG, "trainer_range: %lld steps; 2 to %d are wanted",
                    (long long)steps, STEPS_MAX);
}

static bp_status run(bp_trainer *t, double from, double to, int64_t steps, double *loss,
                     double *smooth, bp_rate_range *found)
{
    BPI_TRY(check(t, from, to, steps, found));
    range r = {.t = t, .from = from, .to = to, .steps = steps,
               .fall = 1 - 1 / (1 + (double)steps / 100)};
    size_t bytes = (size_t)steps * 4 * sizeof *r.loss;
    r.loss = bpi_host_alloc(t->ctx, bytes);
    if (!r.loss)
        return bpi_fail(t->ctx, BP_ERR_NOMEM, "trainer_range: out of memory");
    r.smooth = r.loss + steps;
    r.once = r.smooth + steps;
    r.part = r.once + steps;
    bp_status st = test(&r);
    if (st == BP_OK) {
        judge(&r);
        if (loss)
            memcpy(loss, r.loss, (size_t)r.found.steps * sizeof *loss);
        if (smooth)
            memcpy(smooth, r.smooth, (size_t)r.found.steps * sizeof *smooth);
        r.found.struct_bytes = found->struct_bytes;
        bpi_give_struct(found, found->struct_bytes, &r.found, sizeof r.found);
    }
    bpi_host_free(t->ctx, r.loss, bytes);
    return st;
}

bp_status bp_trainer_range(bp_trainer *t, double from, double to, int64_t steps, double *loss,
                           double *smooth, bp_rate_range *found)
{
    bpi_result_begin(found, sizeof *found);
    BPI_LEADS(t, "trainer_range: trainer");
    BPI_INSIDE(t->ctx, run(t, from, to, steps, loss, smooth, found));
}
