/* What the parallel loop costs, and the rule that one seed gives the same bits for any threads.
 * bench/threads.py runs it with OpenMP's threads and the core's own, and reads its lines
 * of a name and a figure.
 *
 *   team loop      microseconds of a loop with nothing to do, and of two tasks on two threads
 *                  beyond those of one; milliseconds of processor time in the second after a loop
 *   team gradient  microseconds of a batch's gradient and step on two threads, and of the same
 *                  gradient without the fixed order: a sum for each thread
 *   team host      how many threads there are besides 8 that each ran loops on 4, and how many
 *                  work in a forked child's loop
 *   team refused   threads of a loop when the system gives no more; may not come back */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE  /* clock_gettime, nanosleep */
#endif
#include <dirent.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "kernels/kernels.h"
#include "sys/loop.h"

enum { THREADS = 2, TASK_MICROSECONDS = 100, WARM = 1000, ASLEEP = 20, NAP = 50, IDLE = 2 };

typedef void task_function(void *context, int64_t i, int32_t thread);

static double seconds_of(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static double now(void) { return seconds_of(CLOCK_MONOTONIC); }

static void nap(int milliseconds)
{
    struct timespec t = {.tv_sec = milliseconds / 1000, .tv_nsec = milliseconds % 1000 * 1000000L};
    nanosleep(&t, NULL);
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, int n)
{
    qsort(values, (size_t)n, sizeof *values, ascending);
    return values[n / 2];
}

/* ---- the loop -------------------------------------------------------------------------------- */

static void do_nothing(void *context, int64_t i, int32_t thread)
{
    (void)context, (void)i, (void)thread;
}

static void do_work(void *rounds, int64_t i, int32_t thread)
{
    (void)i, (void)thread;
    lenet_multiply_adds(*(int64_t *)rounds, 0);
}

static double time_loop(int tasks, task_function *task, void *context)
{
    double began = now();
    lenet_parallel_for(tasks, tasks, task, context);
    return now() - began;
}

/* Rounds of multiply-adds that take about a task's time. */
static int64_t calibrate(void)
{
    enum { ROUNDS = 10000 };
    double best = 1.0;
    for (int i = 0; i < 20; i++) {
        double began = now();
        lenet_multiply_adds(ROUNDS, 0);
        double took = now() - began;
        if (took < best) best = took;
    }
    return 1 + (int64_t)(1e-6 * TASK_MICROSECONDS / best * ROUNDS);
}

/* Two tasks on two threads beyond one task alone, each after a pause. */
static double beyond_one(int n, int pause, int64_t rounds)
{
    double alone[WARM], together[WARM];
    for (int i = 0; i < n; i++) {
        if (pause) nap(pause);
        alone[i] = time_loop(1, do_work, &rounds);
        if (pause) nap(pause);
        else time_loop(THREADS, do_work, &rounds);  /* all are awake again */
        together[i] = time_loop(THREADS, do_work, &rounds);
    }
    return median(together, n) - median(alone, n);
}

static void measure_loop(void)
{
    enum { LOOPS = 20 };
    double empty[WARM], idle[IDLE];
    int64_t rounds = calibrate();
    time_loop(THREADS, do_work, &rounds);
    for (int i = 0; i < WARM; i++) {
        double began = now();
        for (int k = 0; k < LOOPS; k++) lenet_parallel_for(THREADS, THREADS, do_nothing, NULL);
        empty[i] = (now() - began) / LOOPS;
    }
    printf("empty %.3f\n", 1e6 * median(empty, WARM));
    printf("warm %.3f\n", 1e6 * beyond_one(WARM, 0, rounds));
    printf("asleep %.3f\n", 1e6 * beyond_one(ASLEEP, NAP, rounds));
    for (int i = 0; i < IDLE; i++) {
        time_loop(THREADS, do_work, &rounds);
        double before = seconds_of(CLOCK_PROCESS_CPUTIME_ID);
        nap(1000);
        idle[i] = seconds_of(CLOCK_PROCESS_CPUTIME_ID) - before;
    }
    printf("idle %.3f\n", 1e3 * median(idle, IDLE));
}

/* ---- the gradient ---------------------------------------------------------------------------- */

enum { BATCH = 128, HALF = BATCH / THREADS, SIDE = 28, CLASSES = 10, BITMAP = 84, STEPS = 400 };

typedef struct {
    lenet_plan *plan;
    int64_t n_parameters;
    float *parameters, *gradient, *partial[THREADS];
    lenet_images images;
    const int64_t *labels;
    lenet_loss loss;
    lenet_optimizer optimizer;
    lenet_run run, own[THREADS];
    int failed[THREADS + 1];
} training;

/* The 1998 network; which maps of S2 feed C3 is the paper's Table I. */
static lenet_plan *make_plan(const float *codes)
{
    static const int taken[3][4] = {{0, 1, 2, 2}, {0, 1, 2, 3}, {0, 1, 3, 4}};
    static uint8_t table[16][6];
    for (int o = 0; o < 15; o++)
        for (int k = 0; k < 4; k++) table[o][(o + taken[o / 6][k]) % 6] = 1;
    memset(table[15], 1, sizeof table[15]);
    const int32_t squash = LENET_SCALED_TANH;
    const lenet_layer layers[] = {
        {.kind = LENET_CONV, .activation = squash, .maps = 6, .kernel = 5},
        {.kind = LENET_SUBSAMPLE, .activation = squash},
        {.kind = LENET_CONV, .activation = squash, .maps = 16, .kernel = 5, .table = &table[0][0]},
        {.kind = LENET_SUBSAMPLE, .activation = squash},
        {.kind = LENET_CONV, .activation = squash, .maps = 120, .kernel = 5},
        {.kind = LENET_DENSE, .activation = squash, .maps = BITMAP},
        {.kind = LENET_RBF, .maps = CLASSES},
    };
    lenet_plan *plan = NULL;
    lenet_plan_create(layers, 7, 32, 32, -0.1f, 1.175f, codes, &plan);
    return plan;
}

static float *floats(int64_t n)
{
    float *values = calloc((size_t)n, sizeof *values);
    if (!values) exit(2);
    return values;
}

static void set_workspace(const lenet_plan *plan, int64_t n, int32_t threads, lenet_run *run)
{
    size_t size = lenet_workspace_size(plan, 1, n, threads);
    char *memory = malloc(size + 64);
    if (!memory) exit(2);
    *run = (lenet_run){.workspace = memory + (64 - (uintptr_t)memory % 64),
                       .workspace_size = size,
                       .n_threads = threads};
}

static training make_training(void)
{
    static uint8_t pixels[BATCH][SIDE * SIDE];
    static int64_t labels[BATCH];
    static float codes[CLASSES * BITMAP];
    unsigned seed = 1998;
    for (int i = 0; i < CLASSES * BITMAP; i++) codes[i] = i * 7 % 11 < 5 ? 1.0f : -1.0f;
    for (int i = 0; i < BATCH; i++) {
        labels[i] = i % CLASSES;
        for (int k = 0; k < SIDE * SIDE; k++)
            pixels[i][k] = (uint8_t)((seed = seed * 1664525u + 1013904223u) >> 24);
    }
    training t = {.plan = make_plan(codes),
                  .images = {.pixels = pixels, .height = SIDE, .width = SIDE},
                  .labels = labels,
                  .loss = {.kind = LENET_MSE}};
    if (!t.plan) exit(2);
    const int64_t n = t.n_parameters = lenet_plan_parameters(t.plan);
    t.parameters = floats(n);
    t.gradient = floats(n);
    for (int64_t i = 0; i < n; i++) {
        seed = seed * 1664525u + 1013904223u;
        t.parameters[i] = ((float)(seed >> 8) / (float)(1 << 24) - 0.5f) * 0.1f;
    }
    t.optimizer = (lenet_optimizer){.kind = LENET_ADAM, .rate = 1e-5f, .beta1 = 0.9f,
                                    .beta2 = 0.999f, .epsilon = 1e-8f,
                                    .first_moment = floats(n), .second_moment = floats(n)};
    set_workspace(t.plan, BATCH, THREADS, &t.run);
    for (int i = 0; i < THREADS; i++) {
        t.partial[i] = floats(n);
        set_workspace(t.plan, HALF, 1, &t.own[i]);
    }
    return t;
}

/* One thread's share of the gradient, added up as it comes. */
static void half_gradient(void *context, int64_t i, int32_t thread)
{
    (void)thread;
    training *t = context;
    lenet_images images = t->images;
    lenet_report report;
    images.pixels = (const uint8_t *)images.pixels + i * HALF * SIDE * SIDE;
    t->failed[i] |= lenet_gradient(t->plan, t->parameters, &images, t->labels + i * HALF, HALF,
                                   &t->loss, t->partial[i], &report, &t->own[i]) != LENET_OK;
}

static void add_halves(void *context, int64_t i, int32_t thread)
{
    (void)thread;
    training *t = context;
    const float *a = t->partial[0], *b = t->partial[1];
    int64_t first = t->n_parameters * i / THREADS, end = t->n_parameters * (i + 1) / THREADS;
    for (int64_t k = first; k < end; k++) t->gradient[k] = 0.5f * (a[k] + b[k]);
}

static int measure_gradient(void)
{
    double ordered[STEPS], unordered[STEPS], step[STEPS];
    lenet_report report;
    training t = make_training();
    int *failed = &t.failed[THREADS];
    for (int i = 0; i < STEPS; i++) {
        double began = now();
        *failed |= lenet_gradient(t.plan, t.parameters, &t.images, t.labels, BATCH, &t.loss,
                                  t.gradient, &report, &t.run) != LENET_OK;
        ordered[i] = now() - began;
        began = now();
        lenet_parallel_for(THREADS, THREADS, half_gradient, &t);
        lenet_parallel_for(THREADS, THREADS, add_halves, &t);
        unordered[i] = now() - began;
        began = now();
        *failed |= lenet_step(t.plan, t.parameters, &t.images, t.labels, BATCH, &t.loss,
                              &t.optimizer, &report, &t.run) != LENET_OK;
        step[i] = now() - began;
    }
    printf("ordered %.3f\n", 1e6 * median(ordered, STEPS));
    printf("unordered %.3f\n", 1e6 * median(unordered, STEPS));
    printf("step %.3f\n", 1e6 * median(step, STEPS));
    return t.failed[0] | t.failed[1] | *failed;
}

/* ---- a host process -------------------------------------------------------------------------- */

enum { CALLERS = 8, OF_EACH = 4, TASKS = 64, LOOPS_OF_EACH = 5 };

static pthread_barrier_t all_have_run, all_are_counted;

static void note_thread(void *worked, int64_t i, int32_t thread)
{
    int64_t rounds = 2000;
    ((char *)worked)[thread] = 1;
    do_work(&rounds, i, thread);
}

static int threads_of_a_loop(void)
{
    char worked[OF_EACH] = {0};
    lenet_parallel_for(TASKS, OF_EACH, note_thread, worked);
    return worked[0] + worked[1] + worked[2] + worked[3];
}

static void *call(void *unused)
{
    for (int i = 0; i < LOOPS_OF_EACH; i++) threads_of_a_loop();
    pthread_barrier_wait(&all_have_run);
    pthread_barrier_wait(&all_are_counted);
    return unused;
}

static int threads_of_this_process(void)
{
    int n = -2;  /* . and .. */
    DIR *folder = opendir("/proc/self/task");
    if (!folder) exit(2);
    while (readdir(folder)) n++;
    closedir(folder);
    return n;
}

static int look_at_host(void)
{
    pthread_t callers[CALLERS];
    pthread_barrier_init(&all_have_run, NULL, CALLERS + 1);
    pthread_barrier_init(&all_are_counted, NULL, CALLERS + 1);
    for (int i = 0; i < CALLERS; i++)
        if (pthread_create(&callers[i], NULL, call, NULL) != 0) return 2;
    pthread_barrier_wait(&all_have_run);
    printf("besides %d\n", threads_of_this_process() - CALLERS - 1);
    fflush(stdout);
    pthread_barrier_wait(&all_are_counted);
    for (int i = 0; i < CALLERS; i++) pthread_join(callers[i], NULL);

    int status = 0;
    threads_of_a_loop();
    pid_t child = fork();
    if (child == 0) _exit(threads_of_a_loop());
    if (child < 0 || waitpid(child, &status, 0) != child || !WIFEXITED(status)) return 2;
    printf("child %d\n", WEXITSTATUS(status));
    return 0;
}

/* No address space for another thread's stack: pthread_create fails. */
static int work_when_refused(void)
{
    struct rlimit none = {0, 0};
    if (setrlimit(RLIMIT_AS, &none) != 0) return 2;
    printf("refused %d\n", threads_of_a_loop());
    return 0;
}

int main(int argc, char **argv)
{
    if (lenet_init() != LENET_OK || argc != 2) return 2;
    if (strcmp(argv[1], "host") == 0) return look_at_host();
    if (strcmp(argv[1], "refused") == 0) return work_when_refused();
    if (strcmp(argv[1], "gradient") == 0) return measure_gradient();
    measure_loop();
    return 0;
}
