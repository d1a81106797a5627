/* CSV files: bytes of text for a second of one thread's processor time, which others' load does not
 * change much, beside the rate at which the same file is read and its bytes are added up, which no
 * parser can exceed.
 *
 *     bench_csv [--rows N] [--seconds S]
 *
 * Tables of 20 columns of random numbers, as programs print them: six digits behind a point, %g,
 * %.9g (every f32), %.17g (every f64), integers. Each is written to a file in /tmp, read once to
 * warm up, then for some seconds; a row has the median, the lowest and the highest rate in MB/s,
 * and what share of the floor the median is. */
#include <bpcuda/bpcuda.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { COLUMNS = 20, MOST = 200 };

static long long rows = 200000;
static double limit = 5;
static char path[64];

static uint64_t state = 1;

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double uniform(void) /* Vigna: splitmix64 */
{
    uint64_t z = state += 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return (double)((z ^ z >> 31) >> 11) * 0x1p-53;
}

static double make(const char *format)
{
    FILE *f = fopen(path, "w");
    if (!f)
        exit(1);
    for (long long i = 0; i < rows; i++)
        for (int j = 0; j < COLUMNS; j++) {
            double x = 200 * uniform() - 100;
            fprintf(f, format, strchr(format, 'f') || strchr(format, 'g') ? x : (double)(int)x);
            putc(j + 1 < COLUMNS ? ',' : '\n', f);
        }
    double bytes = (double)ftell(f);
    fclose(f);
    return bytes;
}

static double load_once(bp_context *ctx)
{
    bp_data *d;
    double start = seconds();
    if (bp_data_csv(ctx, path, NULL, &d) != BP_OK) {
        fprintf(stderr, "%s\n", bp_error_text(ctx));
        exit(1);
    }
    double t = seconds() - start;
    bp_data_free(d);
    return t;
}

/* The bytes of the file, read as the library reads them and looked at once. */
static double floor_once(bp_context *ctx)
{
    static unsigned char buffer[1 << 20];
    static volatile uint64_t sum;
    (void)ctx;
    double start = seconds();
    FILE *f = fopen(path, "r");
    setvbuf(f, NULL, _IONBF, 0);
    for (size_t n; (n = fread(buffer, 1, sizeof buffer, f)) > 0;) {
        uint64_t s = 0;
        for (size_t i = 0; i < n; i++)
            s += buffer[i];
        sum += s;
    }
    fclose(f);
    return seconds() - start;
}

static double rate(double (*once)(bp_context *), bp_context *ctx, double bytes, double *low,
                   double *high)
{
    double t[MOST], begin = seconds();
    int n = 0;
    once(ctx);
    while (n < 3 || (n < MOST && seconds() - begin < limit))
        t[n++] = once(ctx);
    qsort(t, (size_t)n, sizeof *t, ascending);
    *low = bytes / t[n - 1] / 1e6;
    *high = bytes / t[0] / 1e6;
    return bytes / t[n / 2] / 1e6;
}

int main(int argc, char **argv)
{
    static const char *const format[] = {"%.6f", "%g", "%.9g", "%.17g", "%.0f"};
    bp_context *ctx;
    for (int i = 1; i + 1 < argc; i += 2)
        if (!strcmp(argv[i], "--rows"))
            rows = atoll(argv[i + 1]);
        else if (!strcmp(argv[i], "--seconds"))
            limit = atof(argv[i + 1]);
    snprintf(path, sizeof path, "/tmp/bench_csv_%d", (int)getpid());
    if (bp_open("cpu", &ctx) != BP_OK || bp_set_threads(ctx, 1) != BP_OK)
        return 1;
    for (size_t i = 0; i < sizeof format / sizeof *format; i++) {
        double low, high, bytes = make(format[i]);
        double floor = rate(floor_once, ctx, bytes, &low, &high);
        double median = rate(load_once, ctx, bytes, &low, &high);
        printf("{\"bench\": \"csv\", \"format\": \"%s\", \"columns\": %d, \"rows\": %lld, "
               "\"megabytes\": %.1f, \"mb_per_s\": %.0f, \"lowest\": %.0f, \"highest\": %.0f, "
               "\"read_mb_per_s\": %.0f, \"of_read\": %.3f, \"version\": \"%s\", "
               "\"device\": \"%s\"}\n", format[i], COLUMNS, rows, bytes / 1e6, median, low, high,
               floor, median / floor, bp_version(), bp_device_text(ctx));
        fflush(stdout);
    }
    remove(path);
    bp_close(ctx);
    return 0;
}
