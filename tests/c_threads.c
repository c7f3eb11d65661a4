/* The parallel loop by itself: each task once, for several callers at once; whose threads run it; how
 * many are woken and kept; forks; and the control group's quota. Built and run by test_c_api.py, by
 * `make tsan` with ThreadSanitizer, and by `make test-arm`, both with -DNO_FORKS, which neither can
 * follow; exits with 1 after the line that was not true. It needs the core's files of the loop alone
 * (LOOP in the Makefile); built with -Dfopen=open_in_test, it gives them a quota of its own. */
#include "sys/parallel.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#if LENET_HAS_OPENMP
#include <omp.h>
#endif

#define CHECK(condition)                                            \
    do {                                                            \
        if (!(condition)) {                                         \
            printf("line %d: not true: %s\n", __LINE__, #condition); \
            fflush(stdout);                                         \
            _exit(1);                                               \
        }                                                           \
    } while (0)

enum { MANY = 64, PATIENCE = 30 };  /* threads; seconds until a wait counts as a hang */

static void nap(void)
{
    const struct timespec millisecond = {.tv_nsec = 1000000};
    nanosleep(&millisecond, NULL);
}

static int64_t seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec;
}

#define AWAIT(condition)                                                              \
    do {                                                                              \
        const int64_t end_ = seconds() + PATIENCE;                                    \
        while (!(condition) && seconds() < end_) nap();                               \
        CHECK(condition);                                                             \
    } while (0)

/* ---- loops that need their threads -------------------------------------------------------------- */

typedef struct {
    int32_t n;
    atomic_int arrived, by_openmp;
} meeting;

/* Ends when as many tasks as threads have begun, so each has a thread of its own. */
static void meet(void *context, int64_t i, int32_t thread)
{
    meeting *m = context;
    (void)i;
    CHECK(thread >= 0 && thread < m->n);
#if LENET_HAS_OPENMP
    if (omp_in_parallel()) atomic_fetch_add(&m->by_openmp, 1);
#endif
    atomic_fetch_add(&m->arrived, 1);
    while (atomic_load(&m->arrived) < m->n) sched_yield();
}

/* Runs a loop on n threads; returns whether they were OpenMP's. */
static int met_by_openmp(int32_t n)
{
    meeting m = {.n = n};
    lenet_parallel_for(n, n, meet, &m);
    CHECK(atomic_load(&m.arrived) == n);
    CHECK(atomic_load(&m.by_openmp) == 0 || atomic_load(&m.by_openmp) == n);
    return atomic_load(&m.by_openmp) != 0;
}

/* ---- several callers ---------------------------------------------------------------------------- */

enum { CALLERS = 4, ROUNDS = 150, MOST_TASKS = 100 };

typedef struct {
    atomic_int times[MOST_TASKS];
    atomic_int busy[LENET_MAX_THREADS];
    int64_t sum[LENET_MAX_THREADS];  /* not atomic: a thread's number is its own */
    int32_t n_threads;
} tally;

static void count_task(void *context, int64_t i, int32_t thread)
{
    tally *t = context;
    CHECK(thread >= 0 && thread < t->n_threads);
    CHECK(atomic_fetch_add(&t->busy[thread], 1) == 0);
    atomic_fetch_add(&t->times[i], 1);
    t->sum[thread] += i;
    atomic_fetch_sub(&t->busy[thread], 1);
}

static atomic_int callers_left;

static void *call_again_and_again(void *argument)
{
    unsigned random = 1 + (unsigned)(intptr_t)argument;
    for (int round = 0; round < ROUNDS; round++) {
        tally *t = calloc(1, sizeof *t);
        CHECK(t);
        random = random * 1664525u + 1013904223u;
        const int64_t n = random >> 8 & 1 ? 1 + (random >> 16) % MOST_TASKS : 2;
        t->n_threads = round % 25 == 0 ? 40 : 1 + (int32_t)((random >> 24) % 8);
        lenet_parallel_for(n, t->n_threads, count_task, t);
        int64_t sum = 0;
        for (int i = 0; i < t->n_threads; i++) sum += t->sum[i];
        CHECK(sum == n * (n - 1) / 2);
        for (int64_t i = 0; i < MOST_TASKS; i++) CHECK(atomic_load(&t->times[i]) == (i < n));
        if (round % 10 == 0) nap();
        free(t);
    }
    atomic_fetch_sub(&callers_left, 1);
    return NULL;
}

/* While settings change under them. */
static void check_callers(void)
{
    pthread_t callers[CALLERS];
    atomic_store(&callers_left, CALLERS);
    lenet_team_keep(1);  /* they end and start all the time */
    for (intptr_t i = 0; i < CALLERS; i++)
        CHECK(pthread_create(&callers[i], NULL, call_again_and_again, (void *)i) == 0);
    for (int i = 0; atomic_load(&callers_left); i++) {
        lenet_set_threads(1 + i % 3);
        CHECK(lenet_get_threads() >= 1);
        CHECK(lenet_set_threading(lenet_available_threading(i % 2)) == LENET_OK);
        nap();
    }
    for (int i = 0; i < CALLERS; i++) pthread_join(callers[i], NULL);
    lenet_set_threads(0);
    CHECK(lenet_set_threading("many") == LENET_BAD_ARGUMENT);
    CHECK(lenet_set_threading(NULL) == LENET_OK);
}

/* ---- the team wakes and keeps what it needs ------------------------------------------------------ */

static void check_team(void)
{
    int32_t present, asleep, before, woken;
    CHECK(lenet_set_threading("team") == LENET_OK);
    lenet_team_keep(60000);
    CHECK(!met_by_openmp(MANY));
    AWAIT((lenet_team_count(&present, &asleep, &before), asleep == MANY - 1));
    CHECK(present == MANY - 1);
    for (int i = 0; i < 20; i++) met_by_openmp(2);
    AWAIT((lenet_team_count(&present, &asleep, &woken), asleep == MANY - 1));
    CHECK(woken - before >= 1 && woken - before <= 20);

    lenet_team_keep(20);  /* for those that fall asleep from now on */
    met_by_openmp(MANY);
    AWAIT((lenet_team_count(&present, &asleep, &woken), present == 0));
    met_by_openmp(MANY);
    met_by_openmp(3);
    AWAIT((lenet_team_count(&present, &asleep, &woken), present == 0));
    CHECK(lenet_set_threading(NULL) == LENET_OK);
}

/* ---- whose threads ------------------------------------------------------------------------------- */

static void *in_thread(void *by_openmp)
{
    *(int *)by_openmp = met_by_openmp(3);
    return NULL;
}

static int met_by_openmp_in_a_thread(void)
{
    pthread_t caller;
    int by_openmp = -1;
    CHECK(pthread_create(&caller, NULL, in_thread, &by_openmp) == 0);
    CHECK(pthread_join(caller, NULL) == 0);
    return by_openmp;
}

#if LENET_HAS_OPENMP
static void note_thread(void *context, int64_t i, int32_t thread)
{
    atomic_int *others = context;
    (void)i;
    if (thread) atomic_fetch_add(others, 1);
}
#endif

/* Before the main thread runs a loop. */
static void check_owner(void)
{
    if (strcmp(lenet_threading(), "openmp") != 0) {
        CHECK(!met_by_openmp(3) && !met_by_openmp_in_a_thread());
        return;
    }
    CHECK(met_by_openmp_in_a_thread());   /* one that ends */
    CHECK(met_by_openmp_in_a_thread());   /* hands them on */
    CHECK(met_by_openmp(3));
    CHECK(!met_by_openmp_in_a_thread());  /* the main thread has them and lives */
    CHECK(met_by_openmp(5));
#if LENET_HAS_OPENMP
    atomic_int others = 0;
#pragma omp parallel num_threads(2)
    lenet_parallel_for(50, 4, note_thread, &others);
    CHECK(atomic_load(&others) == 0);  /* the host's region has the processors */
#endif
}

/* ---- forks --------------------------------------------------------------------------------------- */

#ifndef NO_FORKS
static void in_child(int generations)
{
    const pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        alarm(PATIENCE);
        CHECK(!met_by_openmp(4) && !met_by_openmp_in_a_thread());
        CHECK(strcmp(lenet_threading(), "openmp") != 0);
        if (generations > 1) in_child(generations - 1);
        _exit(0);
    }
    int status = 0;
    CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static atomic_int is_over;

static void rest(void *context, int64_t i, int32_t thread)
{
    (void)context, (void)i, (void)thread;
    nap();
}

static void *call_until_over(void *unused)
{
    while (!atomic_load(&is_over)) lenet_parallel_for(8, 4, rest, NULL);
    return unused;
}

static void check_forks(void)
{
    pthread_t caller;
    met_by_openmp(4);
    in_child(2);
    CHECK(pthread_create(&caller, NULL, call_until_over, NULL) == 0);
    for (int i = 0; i < 20; i++) in_child(1);
    atomic_store(&is_over, 1);
    pthread_join(caller, NULL);
    met_by_openmp(4);
}

#endif

/* ---- the quota ------------------------------------------------------------------------------------ */

#if defined(fopen) && defined(__linux__)
#undef fopen
FILE *fopen(const char *, const char *);

static atomic_int n_opened;
static atomic_int percent;  /* of a processor */

FILE *open_in_test(const char *path, const char *mode)
{
    char text[64];
    atomic_fetch_add(&n_opened, 1);
    if (!strstr(path, "/cpu.max")) return fopen(path, mode);
    FILE *file = tmpfile();
    CHECK(file);
    snprintf(text, sizeof text, "%d 100000\n", 1000 * atomic_load(&percent));
    fputs(text, file);
    rewind(file);
    return file;
}

static void check_quota(void)
{
    unsetenv("OMP_NUM_THREADS");
    atomic_store(&percent, 50);
    CHECK(lenet_get_threads() == 1);  /* the first time that anybody asks */
    CHECK(atomic_load(&n_opened) > 0);
    atomic_store(&percent, 100000);
    cpu_set_t usable;
    CHECK(sched_getaffinity(0, sizeof usable, &usable) == 0);
    if (CPU_COUNT(&usable) > 1) AWAIT(lenet_get_threads() > 1);  /* within a second or so */
    const int before = atomic_load(&n_opened);
    int32_t least = LENET_MAX_THREADS;
    for (int i = 0; i < 10000; i++) {
        const int32_t n = lenet_get_threads();
        if (n < least) least = n;
    }
    CHECK(least >= 1 && atomic_load(&n_opened) - before < 1000);  /* not at each call */
}
#else
static void check_quota(void) {}
#endif

int main(void)
{
    if (lenet_parallel_init() != LENET_OK) return 1;
    const char *const in_use = lenet_threading();
    check_quota();
    check_owner();
    check_team();
    check_callers();
#ifndef NO_FORKS
    check_forks();
#endif
    printf("loops run with %s\n", in_use);
    return 0;
}
