#!/usr/bin/env python3
"""null_cases.py LIST OUTPUT HEADER...: every public function with NULL for each of its pointers.

Reads the headers and writes a C function and a table: a call for each pointer argument, that one
NULL and the others valid, by the recipes below. What must come of it: an error that names the
argument, or what the header says NULL means: then LIST has the words, and they must stand in the
comment above the declaration, behind it, or at the head of the header. A function that has no
recipe stops the build here, by name."""
import re
import sys

# How to make a valid value: `function.argument`, or a type. `w` is the world of test_null.c.
RECIPES = {
    "bp_context *": "w->ctx", "const bp_context *": "w->ctx", "bp_context **": "&w->other",
    "bp_tensor *": "w->t", "const bp_tensor *": "w->t", "bp_tensor *const *": "&w->t",
    "bp_tensor **": "w->out",
    "bp_params *": "w->params", "const bp_params *": "w->params", "bp_params **": "&w->new_params",
    "bp_optimizer *": "w->opt", "const bp_optimizer *": "w->opt", "bp_optimizer **": "&w->new_opt",
    "bp_schedule *": "w->schedule", "bp_schedule **": "&w->new_schedule",
    "bp_schedule_create.text": '"cosine=0"', "bp_factor_fn": "no_factor",
    "bp_plan *": "w->plan", "const bp_plan *": "w->plan", "bp_plan **": "&w->new_plan",
    "bp_data *": "w->data", "const bp_data *": "w->data", "bp_data **": "&w->new_data",
    "bp_data_split.second": "&w->second", "bp_data_split_order.second": "&w->second",
    "bp_data_split_groups.second": "&w->second", "bp_data_fold.test": "&w->second",
    "bp_data_fold.folds": "2",
    "bp_data_push.data": "w->ring", "bp_data_push.columns": "w->columns",
    "const void *const *": "w->columns", "bp_fill_fn": "no_fill", "const bp_csv *": "&w->csv",
    "bp_data_table.rows": "4", "bp_data_add.data": "w->table", "bp_data_add_classes.data": "w->table",
    "bp_data_add_classes.names": "w->names", "const char *const *": "w->names",
    "bp_model *": "w->model", "const bp_model *": "w->model", "bp_model **": "&w->new_model",
    "bp_model *const *": "&w->model", "bp_forward_fn": "no_forward", "bp_task": "BP_TASK_CLASSES",
    "bp_snapshot *": "w->snapshot", "const bp_snapshot *": "w->snapshot",
    "bp_snapshot **": "&w->new_snapshot", "bp_metrics *": "&w->metrics", "bp_model_measure_of.struct_bytes": "sizeof w->metrics",
    "bp_layers *": "w->layers", "const bp_layers *": "w->layers",
    "bp_layers **": "&w->new_layers", "bp_layers_create.params": "w->new_store",
    "bp_trainer *": "w->trainer", "const bp_trainer *": "w->trainer",
    "bp_trainer **": "&w->new_trainer", "bp_batch *": "&w->batch", "const bp_batch *": "&w->batch",
    "bp_loss_fn": "no_loss", "bp_rows_fn": "no_rows", "bp_trainer_fn": "no_callback",
    "bp_checkpoint *": "w->checkpoint", "bp_checkpoint **": "&w->new_checkpoint",
    "bp_trainer_save_every.steps": "0", "bp_trainer_schedule.text": '"cosine=0"', "bp_trainer_optimizer.opt": "w->model_opt",
    "struct DLManagedTensorVersioned *": "w->dl", "struct DLManagedTensorVersioned **": "&w->new_dl",
    "struct DLManagedTensor *": "w->old_dl", "struct DLManagedTensor **": "&w->new_old_dl",
    "bp_op *": "w->op", "bp_op **": "&w->new_op", "const bp_op_def *": "&w->def",
    "bp_exec *": "NULL", "const bp_exec *": "NULL", "const bp_hooks *": "&w->hooks", "bp_step_fn": "nothing", "bp_function": "first", "bp_text_fn": "no_text",
    "bp_block_fn": "no_block", "bp_stats *": "&w->stats", "bp_progress *": "&w->progress",
    "bp_gradcheck_report *": "&w->report",
    "bp_objective_fn": "no_objective", "bp_cost_fn": "no_cost", "const bp_minimize_options *": "&w->minimize",
    "const bp_evolve_options *": "&w->evolve", "bp_found *": "&w->found",
    "bp_eigen *": "&w->eigen", "bp_rate_range *": "&w->range", "bp_method": "BP_METHOD_LBFGS",
    "bp_model_diagonal.opt": "w->diagonal", "bp_model_diagonal.index": "w->index", "bp_model_fan_in.opt": "w->model_opt",
    "bp_hessian_eigenvalues.eigenvalues": "w->f64", "bp_trainer_range.steps": "2",
    "bp_trainer_range.from": "0.1", "bp_trainer_range.loss": "w->f64", "bp_trainer_range.smooth": "w->f64 + 4",
    "const char *": '"4"', "bp_open.device": '"cpu"', "bp_open_with.device": '"cpu"',
    "const void *": "w->room", "void *": "w->room", "const float *": "w->f", "float *": "w->f",
    "const int32_t *": "w->i", "int32_t *": "w->i", "int64_t *": "&w->n", "double *": "&w->d",
    "const int64_t *": "&w->n",
    "bp_shape": "BP_SHAPE(2, 3)", "bp_dtype": "BP_F32", "bp_init": "BP_INIT_ONE", "bp_init_fn": "no_values",
    "bp_precision": "BP_PRECISION_F32", "bp_reduction": "BP_MEAN", "bp_normalize": "BP_NORMALIZE_NONE", "bp_status": "BP_OK", "int32_t": "1", "int64_t": "1",
    "uint32_t": "0", "uint64_t": "0", "size_t": "4", "double": "0.5",
    "bp_window": "(bp_window){{1, 1}, {1, 1}, {0, 0, 0, 0}, 1}",
    "const bp_group *": "&w->group", "bp_optimizer_group.pattern": '"*"', "bp_optimizer_group_of.pattern": '"*"',
    "bp_optimizer_group_of.struct_bytes": "sizeof w->group", "bp_optimizer_option": "BP_OPT_LR", "bp_optimizer_kind": "BP_LION", "bp_train_option": "BP_TRAIN_LR",
    "bp_stats_of.struct_bytes": "sizeof w->stats",
    "bp_progress_of.struct_bytes": "sizeof w->progress", "bp_read.bytes": "24", "bp_read_f32.count": "6", "bp_read_f64.count": "6",
    "bp_read_f64.dst": "w->f64", "bp_read_all.dst": "w->f64", "bp_read_all.count": "6",
    "bp_write.bytes": "24",
}
CLOSING = {"bp_close", "bp_free"}
IN_SCOPE = {"elementwise.h", "reduce.h", "shape.h", "index.h", "product.h", "conv.h", "norm.h", "loss.h", "random.h", "recurrent.h",
            "autograd.h", "derive.h", "graph.h"}
IN_SCOPE_TOO = {"bp_layers_forward", "bp_model_forward", "bp_model_loss", "bp_model_loss_weighted",
                "bp_model_logits", "bp_op_apply"}


def stop(message):
    sys.exit(f"null_cases.py: {message}")


def squeeze(text):
    return " ".join(re.sub(r"[\s*/]+", " ", text).split())


def declarations(path):
    """(return type, name, [(type, argument)], what the header says) of each public function."""
    text = open(path, encoding="utf-8").read()
    head = re.match(r"/\*.*?\*/", text, re.S).group(0)
    comment, at = "", 0
    token = re.compile(r"/\*.*?\*/|(?:BP_API|static inline)\s+([^;{(]*?)(\w+)\(([^;{]*?)\)"
                       r"(?:\s+BP_USE)?\s*[;{][ ]*(/\*[^\n]*\*/)?", re.S)
    for m in token.finditer(text):
        if m.group(2) is None:
            comment = m.group(0)
            continue
        arguments = []
        for part in re.sub(r"\s+", " ", m.group(3)).split(","):
            if part.strip() == "void":
                continue
            found = re.match(r"(.*?[ *])(\w+)$", part.strip())
            if not found:
                stop(f"{m.group(2)}: cannot read the argument '{part.strip()}'")
            arguments.append((found.group(1).strip(), found.group(2)))
        kind = re.sub(r"\s+", " ", m.group(1)).strip()
        yield kind, m.group(2), arguments, squeeze(" ".join([head, comment, m.group(4) or ""]))


def value(name, kind, argument):
    for key in (f"{name}.{argument}", kind):
        if key in RECIPES:
            return RECIPES[key]
    stop(f"{name}: no recipe for its argument {kind} {argument}")


def read_list(path):
    meant = {}
    for line in open(path, encoding="utf-8"):
        if line.strip() and not line.startswith("#"):
            key, words = line.split(":", 1)
            for one in key.split():
                meant[one] = words.strip()
    return meant


def function_types(headers):
    """Pointers whose type does not say so."""
    text = "".join(open(path, encoding="utf-8").read() for path in headers)
    return set(re.findall(r"typedef[^;{}]*?\(\*(\w+)\)\(", text))


def main():
    listing, output, headers = sys.argv[1], sys.argv[2], sys.argv[3:]
    functions = function_types(headers)
    meant, seen, code, table = read_list(listing), set(), [], []
    for path in headers:
        for kind, name, arguments, says in declarations(path):
            scope = path.split("/")[-1] in IN_SCOPE or name in IN_SCOPE_TOO
            for i, (of, argument) in enumerate(arguments):
                if "*" not in of and of not in functions:
                    continue
                key = f"{name}.{argument}"
                words = meant.get(key)
                seen.add(key)
                if words is not None and squeeze(words) not in says:
                    stop(f"{key} may be NULL, but its header does not say '{words}'")
                values = ["NULL" if k == i else value(name, t, a)
                          for k, (t, a) in enumerate(arguments)]
                call = f"{name}({', '.join(values)})"
                if kind == "void":
                    if words is None:
                        stop(f"{key}: nothing can be returned: say in the header, and in "
                             f"{listing}, what NULL does")
                    call = f"{call}; return true"
                elif words is not None:
                    call = f"(void){'!' if kind == 'bp_status' else ''}({call}); return true"
                elif kind == "bp_status":
                    call = f"return {call} == BP_ERR_ARG"
                elif kind.endswith("*"):
                    call = f"return {call} == NULL"
                else:
                    stop(f"{key}: {kind} is no error: say in the header what NULL gives")
                code.append(f"static bool null_{name}_{argument}(world *w)\n{{\n"
                            f"    (void)w;\n    {call};\n}}\n")
                table.append(f'    {{"{key}", "{argument}", null_{name}_{argument}, '
                             f"{'true' if scope else 'false'}, "
                             f"{'true' if words is not None else 'false'}}},\n")
    for key in meant:
        if key not in seen:
            stop(f"{listing} names {key}, which is no pointer of a public function")
    with open(output, "w", encoding="utf-8") as out:
        out.write("\n".join(code))
        out.write("\nstatic const null_case cases[] = {\n" + "".join(table) + "};\n")


main()
