/* bpcuda rate: which learning rate. A range test, or the largest curvature of the loss. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "job.h"
#include "json.h"
#include "plot/plot.h"

/* --- the range test -------------------------------------------------------------------------- */

static bp_status print_range(job *j, const bp_rate_range *r, const double *rate,
                             const double *loss, const double *smooth)
{
    json to = {stdout, false};
    if (!j->set->json) {
        printf("--lr %.3g: a third of %.3g, at which the loss is least%s\n", r->rate, r->least,
               r->diverged ? " before it goes away" : "");
        return BP_OK;
    }
    json_open(&to, NULL, '{');
    json_number(&to, "rate", r->rate);
    json_number(&to, "least_at", r->least);
    json_bool(&to, "diverged", r->diverged);
    const struct {
        const char *name;
        const double *x;
    } lists[] = {{"rates", rate}, {"losses", loss}, {"smoothed", smooth}};
    for (int k = 0; k < 3; k++) {
        json_open(&to, lists[k].name, '[');
        for (int64_t i = 0; i < r->steps; i++)
            json_number(&to, NULL, lists[k].x[i]);
        json_close(&to, ']');
    }
    json_close(&to, '}');
    printf("\n");
    return BP_OK;
}

static bp_status range_with(job *j, int64_t steps, double *rate, double *loss, double *smooth)
{
    const settings *set = j->set;
    bp_rate_range found = {.struct_bytes = sizeof found};
    TRY(bp_trainer_range(j->trainer, set->from, set->to, steps, loss, smooth, &found));
    for (int64_t i = 0; i < found.steps; i++)
        rate[i] = set->from * pow(set->to / set->from, (double)i / (double)(steps - 1));
    if (found.rate == 0)
        return fail(j, BP_ERR_STATE, "rate: the loss is least at the first rate: no step from --from %g "
                    "to --to %g has lowered it (a smaller --from, or more --steps, may)", set->from,
                    set->to);
    if (set->out && !plot_range(rate, loss, smooth, found.steps, &found, set->out, j->text))
        return BP_ERR_IO;
    return print_range(j, &found, rate, loss, smooth);
}

static bp_status range(job *j)
{
    const settings *set = j->set;
    bp_progress p;
    if (!(set->from < set->to))
        return fail(j, BP_ERR_ARG, "--from %g is not below --to %g", set->from, set->to);
    bp_trainer_progress(j->trainer, &p);
    int64_t least = p.epoch_steps > 100 ? p.epoch_steps : 100;
    int64_t steps = set->given[OPTION_steps] ? (int64_t)set->steps : least;
    double *room = malloc((size_t)steps * 3 * sizeof *room);
    bp_status st = room ? range_with(j, steps, room, room + steps, room + 2 * steps)
                        : fail(j, BP_ERR_NOMEM, "rate: no memory for %lld steps", (long long)steps);
    free(room);
    return st;
}

/* --- curvature ------------------------------------------------------------------------------- */

enum { SPREAD = 1024 }; /* rows */

typedef struct curved {
    job *j;
    bp_tensor *index; /* rows spread over the training set */
} curved;

static bp_tensor *loss(bp_context *ctx, void *user)
{
    curved *c = user;
    (void)ctx;
    bp_tensor *y = bp_model_logits(c->j->model, c->j->train, c->index, 0);
    return bp_model_loss(c->j->model, y, bp_gather(bp_data_labels(c->j->train), c->index));
}

static bp_status draw(job *j, bp_tensor *index, int64_t n)
{
    curved c = {j, index};
    int64_t all = bp_data_rows(j->train), rows = bp_shape_of(index).dim[0];
    int32_t *row = malloc((size_t)rows * sizeof *row);
    double *values = malloc((size_t)n * sizeof *values);
    bp_status st = row && values ? BP_OK : fail(j, BP_ERR_NOMEM, "rate: out of memory");
    for (int64_t i = 0; st == BP_OK && i < rows; i++)
        row[i] = (int32_t)(i * all / rows);
    if (st == BP_OK)
        st = bp_write(index, row, (size_t)rows * sizeof *row);
    if (st == BP_OK)
        st = bp_hessian_eigenvalues(bp_model_params(j->model), loss, &c, values, &n);
    if (st == BP_OK && !plot_eigenvalues(values, n, j->set->out, j->text))
        st = BP_ERR_IO;
    free(row);
    free(values);
    return st;
}

static bp_status draw_eigenvalues(job *j)
{
    enum { DRAWN = 4096 };
    bp_params *params = bp_model_params(j->model);
    int64_t rows = bp_data_rows(j->train), n = 0;
    for (int32_t i = 0; i < bp_param_count(params); i++)
        n += bp_shape_count(bp_shape_of(bp_param_at(params, i)));
    if (n > DRAWN)
        return fail(j, BP_ERR_ARG, "rate hessian: eigenvalues of %lld parameters are too many to "
                    "draw: at most %d (smaller --layers; without --out the largest is found)",
                    (long long)n, DRAWN);
    bp_tensor *index = bp_tensor_create(j->ctx, BP_I32, BP_SHAPE(rows < SPREAD ? rows : SPREAD));
    bp_status st = index ? draw(j, index, n) : BP_ERR_NOMEM;
    bp_free(index);
    return st;
}

static bp_status hessian(job *j)
{
    bp_eigen e = {.struct_bytes = sizeof e};
    json to = {stdout, false};
    TRY(bp_trainer_curvature(j->trainer, SPREAD, 0, 0, &e));
    if (j->set->out)
        TRY(draw_eigenvalues(j));
    if (!j->set->json) {
        printf("largest curvature %.4g, to %.1g after %lld products%s\n", e.value, e.residual,
               (long long)e.products, e.converged ? "" : ", and not there yet");
        if (e.rate > 0)
            printf("--lr %.3g for sgd and nesterov\n", e.rate);
        return BP_OK;
    }
    json_open(&to, NULL, '{');
    json_number(&to, "largest", e.value);
    json_number(&to, "residual", e.residual);
    json_number(&to, "products", (double)e.products);
    json_bool(&to, "converged", e.converged);
    json_number(&to, "rate", e.rate);
    json_close(&to, '}');
    printf("\n");
    return BP_OK;
}

/* --- both ------------------------------------------------------------------------------------ */

bp_status rate_of_curvature(job *j, double *rate)
{
    bp_optimizer_kind kind = (bp_optimizer_kind)j->set->train[BP_TRAIN_OPTIMIZER];
    bp_eigen e = {.struct_bytes = sizeof e};
    if (kind != BP_SGD && kind != BP_NESTEROV)
        return fail(j, BP_ERR_ARG, "--lr auto is 1 / the largest curvature, a rate for --optimizer "
                    "sgd or nesterov: %s scales its steps itself (bpcuda rate range suggests one)",
                    bp_optimizer_name(kind));
    TRY(bp_trainer_curvature(j->trainer, SPREAD, 0, 0, &e));
    if (!(e.rate > 0))
        return fail(j, BP_ERR_STATE, "--lr auto: the largest curvature is %g, and no rate follows "
                    "from it", e.value);
    *rate = fmin(e.rate, options[BP_TRAIN_LR].max);
    talk(j, "--lr auto: %.3g, 1 / the largest curvature, %.4g%s\n", *rate, e.value,
         e.converged ? "" : ", which 1000 products have not made sure");
    return BP_OK;
}

bp_status command_rate(job *j)
{
    const char *what = j->set->operands ? j->set->operand[0] : "range";
    bool ranges = !strcmp(what, "range");
    if (!ranges && strcmp(what, "hessian"))
        return fail(j, BP_ERR_ARG, "rate: \"%.200s\" is none of range, hessian", what);
    TRY(check_files(j));
    if (j->set->out && !plot_can(j->set->out, j->text))
        return BP_ERR_IO;
    TRY(open_context(j));
    TRY(load_data(j, LEARN));
    TRY(model_of_options(j));
    TRY(trainer_of_options(j));
    TRY(ranges ? range(j) : hessian(j));
    if (j->set->out)
        talk(j, "saved %s\n", j->set->out);
    return BP_OK;
}
