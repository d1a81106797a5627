/* CSV files: what people write, read as it is meant; what is wrong, told with its place. */
#include <locale.h>
#include <unistd.h>

#include "suite.h"

static char path[64];

static void setup_csv(void)
{
    setup();
    snprintf(path, sizeof path, "/tmp/bpcuda_csv_%d", (int)getpid());
}

static void teardown_csv(void)
{
    remove(path);
    teardown();
}

#define CLAIM(name) Test(csv, name, .init = setup_csv, .fini = teardown_csv)

static void put_bytes(const char *text, size_t n)
{
    FILE *f = fopen(path, "wb");
    cr_assert(f);
    fwrite(text, 1, n, f);
    fclose(f);
}

static bp_data *load_as(const char *text, bp_csv options)
{
    bp_data *d = NULL;
    options.struct_bytes = sizeof options;
    put_bytes(text, strlen(text));
    OK(bp_data_csv(ctx, path, &options, &d));
    return d;
}

static bp_data *load(const char *text)
{
    return load_as(text, (bp_csv){0});
}

/* rows x cols samples of these values. */
static void holds(bp_data *d, int64_t rows, int64_t cols, const double *x)
{
    cr_assert_eq(bp_data_rows(d), rows);
    cr_assert_eq(bp_data_cols(d), cols);
    values v;
    cr_assert(tensor_values(bp_data_samples(d), &v));
    for (int64_t i = 0; i < rows * cols; i++)
        cr_assert_eq(v.v[i], (float)x[i], "[%d] %.9g, not %.9g", (int)i, v.v[i], x[i]);
    values_free(&v, 1);
}

#define HOLDS(d, rows, cols, ...) holds(d, rows, cols, (const double[]){__VA_ARGS__})

/* The file is refused with this text behind its name, and nothing is made or left. */
static void refused(const char *text, size_t n, bp_csv options, bp_status status, const char *why)
{
    guard g = {0};
    bp_hooks hooks = guard_hooks(&g);
    bp_context *c;
    bp_data *d;
    options.struct_bytes = sizeof options;
    put_bytes(text, n);
    cr_assert_eq(bp_open_with("cpu", &hooks, &c), BP_OK);
    cr_assert_eq(bp_data_csv(c, path, &options, &d), status, "%s: %s", why, bp_error_text(c));
    cr_assert_null(d);
    const char *told = bp_error_text(c);
    if (!strncmp(told, path, strlen(path)))
        told += strlen(path) + 2;
    cr_assert_str_eq(told, why);
    bp_close(c);
    cr_assert_not(g.broken);
    cr_assert_eq(g.live, 0);
}

#define BAD(text, why) refused(text, strlen(text), (bp_csv){0}, BP_ERR_FORMAT, why)

CLAIM(numbers_and_a_label_are_read)
{
    bp_data *d = load("a,b,kind\n1,2.5,red\n-3e2,+.5,blue\n4.,5E-1,red\n");
    HOLDS(d, 3, 2, 1, 2.5, -300, 0.5, 4, 0.5);
    cr_assert_eq(bp_data_targets(d), BP_TARGETS_CLASSES);
    cr_assert_eq(bp_data_classes(d), 2);
    cr_assert_str_eq(bp_data_class_name(d, 0), "blue");
    cr_assert_str_eq(bp_data_class_name(d, 1), "red");
    cr_assert_eq(at(bp_data_labels(d), 0), 1);
    cr_assert_eq(at(bp_data_labels(d), 1), 0);
    bp_data_free(d);
}

CLAIM(what_people_write_is_read)
{
    bp_data *d = load("\xEF\xBB\xBF" "a;b;\"the, \"\"label\"\"\"\r\n\r\n"
                      " 1 ;\t2\t;\" x\ny\"\r\n\"3\" ; 4 ; z \r\n\n");
    HOLDS(d, 2, 2, 1, 2, 3, 4);
    cr_assert_str_eq(bp_data_class_name(d, 0), " x\ny");
    cr_assert_str_eq(bp_data_class_name(d, 1), "z");
    bp_data_free(d);
    d = load("1\t2\t2,5\n3\t4\t7,5"); /* more tabs than commas; no last line end */
    HOLDS(d, 2, 2, 1, 2, 3, 4);
    cr_assert_str_eq(bp_data_class_name(d, 0), "2,5");
    bp_data_free(d);
    d = load("1,2,\"a\"\"b\"\"\"\n3,4,\"\"\"\"\n");
    cr_assert_str_eq(bp_data_class_name(d, 0), "\"");
    cr_assert_str_eq(bp_data_class_name(d, 1), "a\"b\"");
    bp_data_free(d);
}

CLAIM(targets_are_real_classes_or_none)
{
    bp_data *d = load("1,2,10\n3,4,9\n5,6,10\n"); /* numbers: real */
    HOLDS(d, 3, 2, 1, 2, 3, 4, 5, 6);
    cr_assert_eq(bp_data_targets(d), BP_TARGETS_REAL);
    cr_assert_eq(at(bp_data_labels(d), 2), 10);
    bp_data_free(d);
    d = load_as("1,2,10\n3,4,9\n5,6,10\n", (bp_csv){.targets = BP_TARGETS_CLASSES});
    cr_assert_str_eq(bp_data_class_name(d, 0), "9"); /* by value */
    cr_assert_eq(at(bp_data_labels(d), 0), 1);
    bp_data_free(d);
    d = load_as("1,2,10\n3,4,9\n", (bp_csv){.label = ""});
    HOLDS(d, 2, 3, 1, 2, 10, 3, 4, 9);
    cr_assert_eq(bp_data_targets(d), BP_TARGETS_NONE);
    bp_data_free(d);
}

CLAIM(columns_are_chosen_by_name_or_number)
{
    const char *text = "id,a,b,c\n7,1,2,3\n8,4,5,6\n";
    bp_data *d = load_as(text, (bp_csv){.label = "b", .skip = "i?,x*"});
    HOLDS(d, 2, 2, 1, 3, 4, 6);
    cr_assert_eq(at(bp_data_labels(d), 1), 5);
    bp_data_free(d);
    d = load_as(text, (bp_csv){.label = "0"});
    HOLDS(d, 2, 3, 1, 2, 3, 4, 5, 6);
    bp_data_free(d);
    d = load_as("5,6,7\n", (bp_csv){.label = "-2", .skip = "0"});
    HOLDS(d, 1, 1, 7);
    cr_assert_eq(at(bp_data_labels(d), 0), 6);
    bp_data_free(d);
    bp_csv options = {sizeof options, .label = "d"};
    put_bytes(text, strlen(text));
    cr_assert_eq(bp_data_csv(ctx, path, &options, &d), BP_ERR_ARG);
    cr_assert(strstr(bp_error_text(ctx), "has no column \"d\": it has 4, \"id\" to \"c\""));
}

CLAIM(what_is_skipped_is_there)
{
    bp_csv options = {.struct_bytes = sizeof options};
    bp_data *d = load_as("id,a,b,y\n7,2,3,4\n8,5,6,7\n", (bp_csv){.skip = "0"});
    HOLDS(d, 2, 2, 2, 3, 5, 6);
    bp_data_free(d);
    d = load_as("id,a,b,y\n7,2,3,4\n8,5,6,7\n", (bp_csv){.skip = "-3,-1"});
    HOLDS(d, 2, 2, 7, 3, 8, 6);
    bp_data_free(d);
    options.skip = "id,idd";
    cr_assert_eq(bp_data_csv(ctx, path, &options, &d), BP_ERR_ARG);
    cr_assert(strstr(bp_error_text(ctx), "has no column \"idd\" to skip"), "%s",
              bp_error_text(ctx));
}

CLAIM(classes_that_are_integers_are_in_order_of_their_value)
{
    static const char *const want[] = {"-12", "-2", "0", "1", "9", "10", "12345678901234567890123"};
    bp_data *d = load_as("1,10\n1,-2\n1,9\n1,0\n1,12345678901234567890123\n1,1\n1,-12\n",
                         (bp_csv){.targets = BP_TARGETS_CLASSES});
    for (int32_t c = 0; c < 7; c++)
        cr_assert_str_eq(bp_data_class_name(d, c), want[c]);
    bp_data_free(d);
}

CLAIM(a_header_is_found_or_told)
{
    bp_data *d = load_as("1,2\n3,4\n", (bp_csv){.header = 1});
    HOLDS(d, 1, 1, 3);
    bp_data_free(d);
    refused("a,b\n1,2\n", 8, (bp_csv){.header = -1}, BP_ERR_FORMAT, "line 1, column 0: \"a\" is no "
            "number; a column of text can be the label, or be skipped");
    d = load_as("1;2,5\n3;4,5\n", (bp_csv){.separator = ';', .targets = BP_TARGETS_CLASSES});
    HOLDS(d, 2, 1, 1, 3);
    bp_data_free(d);
}

CLAIM(a_second_file_has_the_classes_of_the_first)
{
    bp_data *a = load("1,x\n2,y\n3,z\n"), *b;
    put_bytes("4,z\n5,y\n", 8);
    bp_csv options = {sizeof options, .like = a};
    OK(bp_data_csv(ctx, path, &options, &b));
    cr_assert_eq(bp_data_classes(b), 3);
    cr_assert_eq(at(bp_data_labels(b), 0), 2);
    cr_assert_str_eq(bp_data_class_name(b, 2), "z");
    bp_data_free(b);
    put_bytes("4,w\n", 4);
    cr_assert_eq(bp_data_csv(ctx, path, &options, &b), BP_ERR_FORMAT);
    cr_assert(strstr(bp_error_text(ctx), "line 1, column 1: \"w\" is none of the 3 classes"));
    put_bytes("4,5,x\n", 6);
    cr_assert_eq(bp_data_csv(ctx, path, &options, &b), BP_ERR_SHAPE);
    bp_data_free(a);
}

CLAIM(every_defect_is_told_with_its_place)
{
    BAD("", "is empty");
    BAD("\n\n", "is empty");
    BAD("\xEF\xBB\xBF", "is empty");
    BAD("a,b\n", "has a header and no rows");
    BAD("a,b\n1,2\n3\n", "line 3 has 1 fields; 2 are wanted");
    BAD("a,b\n1,2\n3,4,5\n", "line 3 has more than 2 fields; 2 are wanted");
    BAD("a,b\n1,2\n1,\"2\n\n\"\n", "line 3, column \"b\": \"2\\x0a\\x0a\" is no number");
    BAD("a,b,c\n1,,3\n", "line 2, column \"b\": it is empty; a number is wanted");
    BAD("a,b,c\n1,2,red\n1,2,\n", "line 3, column \"c\": it is empty; a class is wanted");
    BAD("a,b,c\n1,2,3\n1,2,x\n", "line 3, column \"c\": \"x\" is no number");
    BAD("a,b,c\n1,\"x\ny\",red\n",
        "line 2, column \"b\": \"x\\x0ay\" is no number; a column of text can be the label, or be "
        "skipped");
    BAD("1,nan,3\n", "line 1, column 1: \"nan\" is no number; a column of text can be the label, "
        "or be skipped");
    BAD("1,1e39,3\n", "line 1, column 1: 1e39 is beyond the range of f32");
    BAD("1,2 3,3\n", "line 1, column 1: \"2 3\" is no number; a column of text can be the label, "
        "or be skipped");
    BAD("1,0x10,3\n", "line 1, column 1: \"0x10\" is no number; a column of text can be the label, "
        "or be skipped");
    BAD("1,1e,3\n", "line 1, column 1: \"1e\" is no number; a column of text can be the label, or "
        "be skipped");
    BAD("1,red\n2,red\n", "there is one class only, \"red\"");
    BAD("1,2,\"a\"b\n", "line 1: there is text behind a closing quote");
    BAD("1,2,3\n1,2,\"a\n", "line 2: a quote that begins here or later is not closed");
    BAD("red\nblue\n", "no column is left for samples: of 1, separated by ','");
    BAD("\xFF\xFE" "1", "line 1: the text is UTF-16; UTF-8 is wanted");
    refused("1,2,a\0b\n", 8, (bp_csv){0}, BP_ERR_FORMAT,
            "line 1, column 2: a text with a zero byte; a class is wanted");
    refused("1,2\n", 4, (bp_csv){.separator = 'e'}, BP_ERR_ARG,
            "data_csv: the separator cannot be 'e'");
    refused("1,2\n", 4, (bp_csv){.targets = BP_TARGETS_LABELS}, BP_ERR_ARG,
            "data_csv: targets 3: classes or real are wanted");
    remove(path);
    bp_data *d;
    cr_assert_eq(bp_data_csv(ctx, path, NULL, &d), BP_ERR_IO);
    put_bytes("1,2\n", 4);
    bp_csv options = {.struct_bytes = 4};
    cr_assert_eq(bp_data_csv(ctx, path, &options, &d), BP_ERR_ARG);
}

/* Numbers as programs print them, and near the middle of two f32: all as strtof has them. */
CLAIM(numbers_are_rounded_once)
{
    static const char *const format[] = {"%.0f", "%.6f", "%g", "%.9g", "%.17g", "%.40f", "%.25e"};
    enum { N = 20000, FORMATS = sizeof format / sizeof *format };
    char *text = malloc(N * 400), *end = text, one[400];
    double *want = malloc(N * sizeof *want);
    for (int i = 0; i < N; i++) {
        float f = (float)ldexp(op_random(1, i), (int)(op_random(2, i) * 250) - 149);
        double x = i % 5 ? f : f + ldexp(f, -24) * (1 + (i % 3 - 1) * 1e-8); /* about a middle */
        if (i % 7 == 0)
            x = floor(op_random(3, i) * 1e9);
        snprintf(one, sizeof one, format[i % FORMATS], i % 2 ? x : -x);
        want[i] = strtof(one, NULL);
        end += sprintf(end, "%s,0\n", one);
        cr_assert(isfinite(want[i]), "%s", one);
    }
    bp_data *d = load(text);
    holds(d, N, 1, want);
    bp_data_free(d);
    free(text);
    free(want);
}

CLAIM(the_locale_of_the_host_does_not_matter)
{
    static const char *const comma[] = {"de_DE.UTF-8", "de_DE", "fr_FR.UTF-8"};
    for (int i = 0; i < 3; i++)
        if (setlocale(LC_ALL, comma[i]))
            break;
    bp_data *d = load("1.5,16777217.0000001,x\n0.1000000000000000055511151231257827,2,y\n");
    setlocale(LC_ALL, "C");
    HOLDS(d, 2, 2, 1.5, 16777218, 0.1, 2);
    bp_data_free(d);
}

/* More than the reader's buffer, with a line longer than it: nothing depends on where it is cut. */
CLAIM(files_are_read_in_pieces)
{
    enum { ROWS = 60000, LONG = 3 << 20 };
    char *text = malloc(ROWS * 40 + LONG + 100), *end = text;
    double *want = malloc(ROWS * sizeof *want);
    for (int i = 0; i < ROWS; i++) {
        want[i] = i;
        if (i == ROWS / 2) {
            end += sprintf(end, "%d,\"", i);
            memset(end, '\n', LONG);
            end += LONG;
            end += sprintf(end, "\"\r\n");
        } else {
            end += sprintf(end, "%d,\"class %d\"\r\n", i, i % 1000);
        }
    }
    sprintf(end, "x,y\n");
    char why[128];
    snprintf(why, sizeof why, "line %d, column 0: \"x\" is no number; a column of text can be the "
             "label, or be skipped", ROWS + LONG + 1);
    BAD(text, why);
    *end = 0;
    bp_data *d = load(text);
    holds(d, ROWS, 1, want);
    cr_assert_eq(bp_data_classes(d), 1001);
    for (int32_t c = 1; c < 1001; c++)
        cr_assert(strcmp(bp_data_class_name(d, c - 1), bp_data_class_name(d, c)) < 0);
    for (int i = 0; i < ROWS; i += 997) {
        char name[32];
        snprintf(name, sizeof name, "class %d", i % 1000);
        cr_assert_str_eq(bp_data_class_name(d, (int32_t)at(bp_data_labels(d), i)), name);
    }
    bp_data_free(d);
    free(text);
    free(want);
}

CLAIM(real_files_are_read)
{
    bp_data *iris, *diabetes, *digits, *built_in;
    bp_csv classes = {sizeof classes, .targets = BP_TARGETS_CLASSES};
    OK(bp_data_csv(ctx, BPI_SMALL_DATA "/iris.csv", &classes, &iris));
    cr_assert(bp_data_rows(iris) == 150 && bp_data_cols(iris) == 4 && bp_data_classes(iris) == 3);
    OK(bp_data_csv(ctx, BPI_SMALL_DATA "/diabetes.csv", NULL, &diabetes));
    cr_assert(bp_data_rows(diabetes) == 442 && bp_data_cols(diabetes) == 10);
    cr_assert_eq(bp_data_targets(diabetes), BP_TARGETS_REAL);
    OK(bp_data_csv(ctx, BPI_SMALL_DATA "/digits.csv", &classes, &digits));
    OK(bp_data_digits(ctx, &built_in));
    same(bp_data_samples(digits), bp_data_samples(built_in), 0);
    same(bp_data_labels(digits), bp_data_labels(built_in), 0);
    bp_data *all[] = {iris, diabetes, digits, built_in};
    for (int i = 0; i < 4; i++)
        bp_data_free(all[i]);
}

CLAIM(each_allocation_may_fail)
{
    const char *text = "a,b,kind\n1,\"2\",red\n3,4,\"b\"\"lue\"\n";
    int64_t failed = 0;
    put_bytes(text, strlen(text));
    for (int64_t fail_at = 1, calls = 1; fail_at <= calls + 1; fail_at++) {
        guard g = {.fail_at = fail_at};
        bp_hooks hooks = guard_hooks(&g);
        bp_context *c;
        bp_data *d = NULL;
        bp_status st = bp_open_with("cpu", &hooks, &c);
        if (st == BP_OK)
            st = bp_data_csv(c, path, NULL, &d);
        calls = g.calls;
        cr_assert(st == BP_OK || st == BP_ERR_NOMEM, "%s", bp_error_text(c));
        cr_assert_eq(st == BP_OK, d != NULL);
        failed += st != BP_OK;
        if (c && !d)
            cr_assert_eq(bp_data_csv(c, path, NULL, &d), BP_OK, "%s", bp_error_text(c));
        bp_data_free(d);
        bp_close(c);
        cr_assert(g.live == 0 && !g.broken);
    }
    cr_assert_gt(failed, 20);
}
