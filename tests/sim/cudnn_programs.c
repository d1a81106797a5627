/* cudnn_programs LIBRARY DEVICE.json: what a cuDNN says to right and wrong programs of descriptors,
 * a line each. No GPU is needed: the device is a description. cudnn_programs.sh compares our fake
 * with what the real library said, and with the real library where there is one.
 *
 * A program describes a convolution with a bias and a ReLU (the parts below, in that order), up to
 * a plan; a row changes something in it. A line says which call was the first to fail and how. */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cudnn_programs.h"

struct library lib;

/* --- running one --------------------------------------------------------------------------- */

static cudnnBackendDescriptorType_t type_of(const program *p, int part)
{
    static const cudnnBackendDescriptorType_t directions[DIRECTIONS] = {
        CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR,
        CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR,
        CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR,
        CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR};
    switch (part) {
    case WINDOW: return CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR;
    case CONV: return directions[p->direction];
    case ADDS:
    case RELUS: return CUDNN_BACKEND_POINTWISE_DESCRIPTOR;
    case ADD:
    case RELU: return CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR;
    case GRAPH: return CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR;
    case DEVICE: return CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR;
    case HEUR: return CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR;
    case PLAN: return CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR;
    case PACK: return CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR;
    default: return CUDNN_BACKEND_TENSOR_DESCRIPTOR;
    }
}

static bool fails(program *p, cudnnStatus_t status, const char *part, const char *call, int name)
{
    if (status == CUDNN_STATUS_SUCCESS)
        return false;
    char attribute[20] = "";
    if (name >= 0)
        snprintf(attribute, sizeof attribute, " %d", name);
    snprintf(p->said, sizeof p->said, "%s %s%s: %s", part, call, attribute,
             lib.error_string(status));
    return true;
}

static cudnnStatus_t set(program *p, const field *f)
{
    cudnnBackendDescriptor_t parts[128] = {0};
    const void *value = f->value;
    int64_t count = f->count;
    if (f->value == &device_text) {
        value = device_text;
        count = (int64_t)strlen(device_text);
    } else if (f->type == CUDNN_TYPE_BACKEND_DESCRIPTOR && f->value) {
        for (int64_t i = 0; i < count; i++)
            parts[i] = p->made[((const int *)f->value)[i]];
        value = parts;
    }
    return lib.set(p->made[f->part], f->name, f->type, count, value);
}

bool take_engine(program *p)
{
    int64_t count = 0;
    for (int i = 0; i < MOST_CONFIGS; i++)
        if (fails(p, lib.create(CUDNN_BACKEND_ENGINECFG_DESCRIPTOR, &p->configs[i]),
                  "configuration", "create", -1))
            return false;
    if (fails(p, lib.get(p->made[HEUR], CUDNN_ATTR_ENGINEHEUR_RESULTS,
                         CUDNN_TYPE_BACKEND_DESCRIPTOR, MOST_CONFIGS, &count, p->configs),
              "heuristic", "results", -1))
        return false;
    if (count == 0)
        snprintf(p->said, sizeof p->said, "no engine");
    return count > 0;
}

/* Which a convolution alone does not want. */
static bool is_of_fusion(int part)
{
    return part == B || part == SUM || part == OUT || (part >= ADDS && part <= RELU);
}

bool make_part(program *p, int part)
{
    if (is_of_fusion(part) && p->direction != FUSED)
        return true;
    if (fails(p, lib.create(type_of(p, part), &p->made[part]), names[part], "create", -1))
        return false;
    if (part == PLAN && (!take_engine(p) ||
                         fails(p, lib.set(p->made[PLAN], CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG,
                                          CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, p->configs),
                               "plan", "set", CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG)))
        return false;
    for (int i = 0; i < p->count; i++)
        if (p->fields[i].part == part && p->fields[i].value &&
            fails(p, set(p, &p->fields[i]), names[part], "set", (int)p->fields[i].name))
            return false;
    return !fails(p, lib.finalize(p->made[part]), names[part], "finalize", -1);
}

static void change(program *p, field f)
{
    int i = 0;
    while (i < p->count && (p->fields[i].part != f.part || p->fields[i].name != f.name))
        i++;
    p->fields[i] = f;
    if (i == p->count)
        p->count++;
}

void begin(program *p, const row *r)
{
    *p = (program){.direction = r->direction};
    for (size_t i = 0; i < sizeof base / sizeof *base; i++)
        change(p, base[i]);
    for (int i = 0; i < 8; i++)
        if (of_direction[r->direction][i].count)
            change(p, of_direction[r->direction][i]);
    for (int i = 0; i < 8; i++)
        if (r->changes[i].name || r->changes[i].count)
            change(p, r->changes[i]);
}

void end(program *p)
{
    for (int i = 0; i < PARTS; i++)
        if (p->made[i])
            (void)lib.destroy(p->made[i]);
    for (int i = 0; i < MOST_CONFIGS; i++)
        if (p->configs[i])
            (void)lib.destroy(p->configs[i]);
}

/* In a child: the real library does not survive every mistake, and ours reports it. */
static void run(program *p, const char *name)
{
    const pid_t child = fork();
    if (child == 0) {
        int part = 0;
        if (!freopen("/dev/null", "w", stderr))
            _exit(1);
        while (part < PARTS && make_part(p, part))
            part++;
        printf("%s: %s\n", name, part == PARTS ? "right" : p->said);
        end(p);
        fflush(stdout);
        _exit(0);
    }
    int status = 1;
    if (child < 0 || waitpid(child, &status, 0) != child || status != 0)
        printf("%s: the end\n", name);
}

/* --- every attribute ----------------------------------------------------------------------- */

void say(const char *what, const char *of, cudnnStatus_t status)
{
    printf("%s %s: %s\n", what, of, lib.error_string(status));
}

static size_t bytes_of(cudnnBackendAttributeType_t type)
{
    if (type == CUDNN_TYPE_BOOLEAN)
        return 1;
    return type == CUDNN_TYPE_INT64 || type == CUDNN_TYPE_VOID_PTR ? 8 : 4;
}

/* The ways in which a call that sets one can be wrong. */
static void run_wrong(const field *f)
{
    static const row fused = {.direction = FUSED};
    static const char *const ways[] = {"left out", "of another type", "no element", "too many"};
    const bool is_list = f->type == CUDNN_TYPE_BACKEND_DESCRIPTOR || f->type == CUDNN_TYPE_CHAR;
    for (int way = 0; way < (is_list ? 1 : 4); way++) {
        program p;
        begin(&p, &fused);
        field wrong = *f;
        int64_t room[16] = {0};
        char name[LINE];
        snprintf(name, sizeof name, "attribute %d of %s, %s", (int)f->name, names[f->part],
                 ways[way]);
        if (way == 0)
            wrong.value = NULL;
        else if (way == 1)
            wrong.type = f->type == CUDNN_TYPE_INT64 ? CUDNN_TYPE_FLOAT : CUDNN_TYPE_INT64;
        else
            wrong.count = way == 2 ? 0 : f->count + 1;
        if (way == 3)
            wrong.value = memcpy(room, f->value, (size_t)f->count * bytes_of(f->type));
        change(&p, wrong);
        run(&p, name);
    }
}

/* A part of nothing; and one that is finalised already. */
static void run_twice(int part)
{
    static const row fused = {.direction = FUSED};
    program p;
    begin(&p, &fused);
    for (int i = 0; i < part; i++)
        (void)make_part(&p, i);
    (void)lib.create(type_of(&p, part), &p.made[part]);
    if (part != PLAN) /* 9.26 dies of it */
        say("an empty", names[part], lib.finalize(p.made[part]));
    (void)lib.destroy(p.made[part]);
    (void)make_part(&p, part);
    int i = 0;
    while (p.fields[i].part != part)
        i++;
    say("set again,", names[part], set(&p, &p.fields[i]));
    say("finalised again,", names[part], lib.finalize(p.made[part]));
    end(&p);
}

/* --- the calls themselves ------------------------------------------------------------------ */

/* What is read of what was found, in fewer and more places than there are. */
static void run_reads(void)
{
    program p;
    begin(&p, &(row){.direction = FORWARD});
    for (int i = 0; i < PLAN; i++)
        (void)make_part(&p, i);
    cudnnBackendDescriptor_t engine = NULL;
    int64_t all = -1, one = -1, count = -1, value = -1;
    const cudnnStatus_t size = lib.get(p.made[HEUR], CUDNN_ATTR_ENGINEHEUR_RESULTS,
                                       CUDNN_TYPE_BACKEND_DESCRIPTOR, 0, &all, NULL);
    printf("results, their number: %s %s\n", lib.error_string(size), all > 1 ? "many" : "none");
    (void)lib.create(CUDNN_BACKEND_ENGINECFG_DESCRIPTOR, &p.configs[0]);
    say("results,", "one", lib.get(p.made[HEUR], CUDNN_ATTR_ENGINEHEUR_RESULTS,
                                   CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &one, p.configs));
    printf("results, of one: %d\n", (int)one);
    say("results,", "of another type", lib.get(p.made[HEUR], CUDNN_ATTR_ENGINEHEUR_RESULTS,
                                               CUDNN_TYPE_INT64, 1, &count, &value));
    (void)lib.create(CUDNN_BACKEND_ENGINE_DESCRIPTOR, &engine);
    say("engine,", "of a configuration",
        lib.get(p.configs[0], CUDNN_ATTR_ENGINECFG_ENGINE, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1,
                &count, &engine));
    say("engine,", "its index", lib.get(engine, CUDNN_ATTR_ENGINE_GLOBAL_INDEX, CUDNN_TYPE_INT64,
                                        1, &count, &value));
    cudnnBackendNumericalNote_t notes[16];
    say("engine,", "its notes", lib.get(engine, CUDNN_ATTR_ENGINE_NUMERICAL_NOTE,
                                        CUDNN_TYPE_NUMERICAL_NOTE, 16, &count, notes));
    say("engine,", "set", lib.set(engine, CUDNN_ATTR_ENGINE_GLOBAL_INDEX, CUDNN_TYPE_INT64, 1,
                                  &value));
    say("configuration,", "finalised again", lib.finalize(p.configs[0]));
    (void)lib.create(CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR, &p.made[PLAN]);
    say("plan,", "workspace before", lib.get(p.made[PLAN],
                                             CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE,
                                             CUDNN_TYPE_INT64, 1, &count, &value));
    say("plan,", "of an empty configuration",
        (lib.create(CUDNN_BACKEND_ENGINECFG_DESCRIPTOR, &p.configs[1]),
         lib.set(p.made[PLAN], CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG,
                 CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &p.configs[1])));
    (void)lib.set(p.made[PLAN], CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG,
                  CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, p.configs);
    say("plan,", "made", lib.finalize(p.made[PLAN]));
    say("plan,", "workspace", lib.get(p.made[PLAN], CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE,
                                      CUDNN_TYPE_INT64, 1, &count, &value));
    say("plan,", "workspace of another type",
        lib.get(p.made[PLAN], CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE, CUDNN_TYPE_FLOAT, 1,
                &count, &value));
    (void)lib.destroy(engine);
    end(&p);
}

static void run_calls(void)
{
    program p;
    begin(&p, &(row){.direction = FORWARD});
    cudnnBackendDescriptor_t d = NULL;
    int64_t one = 1;
    say("create", "60", lib.create((cudnnBackendDescriptorType_t)60, &d));
    say("destroy", "NULL", lib.destroy(NULL));
    say("finalize", "NULL", lib.finalize(NULL));
    say("set of", "NULL", lib.set(NULL, CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, 1, &one));
    say("get of", "NULL",
        lib.get(NULL, CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, 1, NULL, &one));
    (void)lib.create(CUDNN_BACKEND_TENSOR_DESCRIPTOR, &d);
    say("set", "NULL", lib.set(d, CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, 1, NULL));
    say("set", "4000", lib.set(d, (cudnnBackendAttributeName_t)4000, CUDNN_TYPE_INT64, 1, &one));
    p.made[X] = d;
    (void)lib.create(CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR, &p.made[GRAPH]);
    say("set", "what is not final", set(&p, &(field)OPS(X)));
    p.made[X] = NULL;
    say("set", "no descriptor", set(&p, &(field)OPS(X)));
    (void)lib.destroy(d);
    end(&p);
}

static bool look_up(void *library)
{
    const struct {
        void *to;
        const char *name;
    } calls[] = {{&lib.version, "cudnnGetVersion"},
                 {&lib.error_string, "cudnnGetErrorString"},
                 {&lib.create, "cudnnBackendCreateDescriptor"},
                 {&lib.destroy, "cudnnBackendDestroyDescriptor"},
                 {&lib.set, "cudnnBackendSetAttribute"},
                 {&lib.get, "cudnnBackendGetAttribute"},
                 {&lib.finalize, "cudnnBackendFinalize"}};
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        *(void **)calls[i].to = dlsym(library, calls[i].name);
        if (!*(void **)calls[i].to)
            return false;
    }
    return true;
}

int main(int argc, char **argv)
{
    setvbuf(stdout, NULL, _IOLBF, 0); /* a library may end us */
    static char text[1 << 14];
    FILE *file = argc == 3 ? fopen(argv[2], "r") : NULL;
    void *library = file ? dlopen(argv[1], RTLD_NOW | RTLD_LOCAL) : NULL;
    if (!library || !look_up(library)) {
        fprintf(stderr, "cudnn_programs LIBRARY DEVICE.json: %s\n",
                file ? dlerror() : "no device");
        return 2;
    }
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    fclose(file);
    device_text = text;
    if (lib.version() < DESCRIBED_DEVICES) {
        printf("version %zu cannot plan for a device that is not there\n", lib.version());
        return 77;
    }
    program p;
    begin(&p, &rows[0]);
    for (int part = 0; part < PARTS; part++) /* so that all is loaded before there are children */
        (void)make_part(&p, part);
    end(&p);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        begin(&p, &rows[i]);
        run(&p, rows[i].name);
    }
    begin(&p, &(row){.direction = FUSED});
    for (int i = 0; i < p.count; i++)
        if (p.fields[i].part == X || p.fields[i].part >= WINDOW)
            run_wrong(&p.fields[i]);
    for (int part = 0; part < PARTS; part++)
        if (part == X || part >= WINDOW)
            run_twice(part);
    run_reads();
    run_choices(&of_32_channels);
    run_calls();
    return 0;
}
