/* Programs of an engine that is found by its number and of its knobs, as plans are made anew of
 * choices that were kept. Part of cudnn_programs.c. */
#include <stdio.h>

#include "cudnn_run.h"

enum { MOST_KNOBS = 32 };

typedef struct choice {
    program p;
    int64_t engine, notes;
    cudnnBackendDescriptor_t knobs[MOST_KNOBS], made[MOST_KNOBS], built[3 * MOST_KNOBS];
    int32_t type[MOST_KNOBS];
    int64_t value[MOST_KNOBS], count;
    int n_built;
} choice;

static cudnnBackendDescriptor_t build(choice *c, cudnnBackendDescriptorType_t type)
{
    (void)lib.create(type, &c->built[c->n_built]);
    return c->built[c->n_built++];
}

static int64_t notes_of(cudnnBackendDescriptor_t engine)
{
    cudnnBackendNumericalNote_t note[32];
    int64_t n = 0, notes = 0;
    (void)lib.get(engine, CUDNN_ATTR_ENGINE_NUMERICAL_NOTE, CUDNN_TYPE_NUMERICAL_NOTE, 32, &n,
                  note);
    for (int64_t i = 0; i < n; i++)
        notes |= (int64_t)1 << note[i];
    return notes;
}

/* Of the first configuration that a heuristic offers. */
static void read_choice(choice *c, const row *of)
{
    int64_t n, none = -1;
    begin(&c->p, of);
    for (int part = 0; part < PLAN; part++)
        (void)make_part(&c->p, part);
    (void)take_engine(&c->p);
    cudnnBackendDescriptor_t engine = build(c, CUDNN_BACKEND_ENGINE_DESCRIPTOR);
    (void)lib.get(c->p.configs[0], CUDNN_ATTR_ENGINECFG_ENGINE, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1,
                  &n, &engine);
    (void)lib.get(engine, CUDNN_ATTR_ENGINE_GLOBAL_INDEX, CUDNN_TYPE_INT64, 1, &n, &c->engine);
    c->notes = notes_of(engine);
    say("knobs,", "into no room", lib.get(c->p.configs[0], CUDNN_ATTR_ENGINECFG_KNOB_CHOICES,
                                          CUDNN_TYPE_BACKEND_DESCRIPTOR, 0, &none, NULL));
    printf("knobs, into no room: %s\n", none > 0 ? "some" : "none");
    for (int i = 0; i < MOST_KNOBS; i++)
        c->knobs[i] = build(c, CUDNN_BACKEND_KNOB_CHOICE_DESCRIPTOR);
    say("knobs,", "all", lib.get(c->p.configs[0], CUDNN_ATTR_ENGINECFG_KNOB_CHOICES,
                                 CUDNN_TYPE_BACKEND_DESCRIPTOR, MOST_KNOBS, &c->count, c->knobs));
    for (int64_t i = 0; i < c->count; i++)
        if (lib.get(c->knobs[i], CUDNN_ATTR_KNOB_CHOICE_KNOB_TYPE, CUDNN_TYPE_KNOB_TYPE, 1, &n,
                    &c->type[i]) ||
            lib.get(c->knobs[i], CUDNN_ATTR_KNOB_CHOICE_KNOB_VALUE, CUDNN_TYPE_INT64, 1, &n,
                    &c->value[i]))
            printf("a knob cannot be read\n");
    printf("knobs, all: %s\n", c->count > 0 ? "some" : "none");
}

enum { NO_GRAPH = 1, NO_INDEX = 2, NO_DEVICE = 4 };

static cudnnBackendDescriptor_t build_engine(choice *c, int64_t index, int without,
                                             const char *name)
{
    cudnnBackendDescriptor_t e = build(c, CUDNN_BACKEND_ENGINE_DESCRIPTOR);
    if (!(without & NO_GRAPH))
        (void)lib.set(e, CUDNN_ATTR_ENGINE_OPERATION_GRAPH, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1,
                      &c->p.made[GRAPH]);
    if (!(without & NO_INDEX))
        (void)lib.set(e, CUDNN_ATTR_ENGINE_GLOBAL_INDEX, CUDNN_TYPE_INT64, 1, &index);
    if (!(without & NO_DEVICE))
        (void)lib.set(e, CUDNN_ATTR_ENGINE_DEVICEPROP, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1,
                      &c->p.made[DEVICE]);
    say("engine,", name, lib.finalize(e));
    return e;
}

static cudnnStatus_t build_knob(choice *c, int64_t i, int32_t type, int64_t value)
{
    c->made[i] = build(c, CUDNN_BACKEND_KNOB_CHOICE_DESCRIPTOR);
    const cudnnStatus_t first = lib.set(c->made[i], CUDNN_ATTR_KNOB_CHOICE_KNOB_TYPE,
                                        CUDNN_TYPE_KNOB_TYPE, 1, &type);
    const cudnnStatus_t second = lib.set(c->made[i], CUDNN_ATTR_KNOB_CHOICE_KNOB_VALUE,
                                         CUDNN_TYPE_INT64, 1, &value);
    return first ? first : second ? second : lib.finalize(c->made[i]);
}

static cudnnBackendDescriptor_t build_config(choice *c, cudnnBackendDescriptor_t engine,
                                             int64_t knobs, const char *name)
{
    cudnnBackendDescriptor_t d = build(c, CUDNN_BACKEND_ENGINECFG_DESCRIPTOR);
    (void)lib.set(d, CUDNN_ATTR_ENGINECFG_ENGINE, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &engine);
    if (knobs > 0)
        (void)lib.set(d, CUDNN_ATTR_ENGINECFG_KNOB_CHOICES, CUDNN_TYPE_BACKEND_DESCRIPTOR, knobs,
                      c->made);
    say("configuration,", name, lib.finalize(d));
    return d;
}

static int64_t workspace_of(choice *c, cudnnBackendDescriptor_t config, const char *name)
{
    int64_t n, bytes = -1;
    cudnnBackendDescriptor_t plan = build(c, CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR);
    (void)lib.set(plan, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1,
                  &config);
    (void)lib.set(plan, CUDNN_ATTR_EXECUTION_PLAN_DEVICEPROP, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1,
                  &c->p.made[DEVICE]);
    say("plan,", name, lib.finalize(plan));
    (void)lib.get(plan, CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE, CUDNN_TYPE_INT64, 1, &n, &bytes);
    return bytes;
}

/* Knobs that are not those of the engine. */
static void run_wrong_knobs(choice *c, cudnnBackendDescriptor_t engine)
{
    static const int64_t values[] = {-1000, 1000000};
    static const int32_t types[] = {-1, 1000};
    cudnnBackendDescriptor_t d = build(c, CUDNN_BACKEND_KNOB_CHOICE_DESCRIPTOR);
    say("knob,", "empty", lib.finalize(d));
    d = build(c, CUDNN_BACKEND_KNOB_CHOICE_DESCRIPTOR);
    say("knob,", "of a value alone",
        (lib.set(d, CUDNN_ATTR_KNOB_CHOICE_KNOB_VALUE, CUDNN_TYPE_INT64, 1, values),
         lib.finalize(d)));
    for (int i = 0; i < 2; i++) {
        say("knob,", "of a value it has not", build_knob(c, 0, c->type[0], values[i]));
        (void)build_config(c, engine, c->count, "of a value it has not");
    }
    for (int i = 0; i < 2; i++) {
        say("knob,", "of a type there is not", build_knob(c, 0, types[i], 0));
        (void)build_config(c, engine, 1, "of a knob there is not");
    }
    (void)build_knob(c, 0, c->type[0], c->value[0]);
    (void)build_knob(c, c->count, c->type[0], c->value[0]);
    (void)build_config(c, engine, c->count + 1, "of a knob twice");
}

void run_choices(const row *of)
{
    static choice c;
    read_choice(&c, of);
    cudnnBackendDescriptor_t engine = build_engine(&c, c.engine, 0, "by its index");
    printf("engine, by its index: %s notes\n", notes_of(engine) == c.notes ? "the same" : "other");
    (void)build_engine(&c, c.engine, NO_GRAPH, "of no graph");
    (void)build_engine(&c, 0, NO_INDEX, "of no index");
    (void)build_engine(&c, c.engine, NO_DEVICE, "of no device");
    (void)build_engine(&c, 100000, 0, "that is not there");
    (void)build_engine(&c, -1, 0, "of the index -1");
    for (int64_t i = 0; i < c.count; i++)
        if (build_knob(&c, i, c.type[i], c.value[i]))
            printf("a knob cannot be made\n");
    cudnnBackendDescriptor_t config = build_config(&c, engine, c.count, "by engine and knobs");
    const int64_t is = workspace_of(&c, config, "of it"), was = workspace_of(&c, c.p.configs[0],
                                                                             "of the first");
    printf("plan, of it: %s workspace\n", is == was ? "the same" : "another");
    (void)build_config(&c, engine, 0, "without its knobs");
    run_wrong_knobs(&c, engine);
    while (c.n_built > 0)
        (void)lib.destroy(c.built[--c.n_built]);
    end(&c.p);
}
