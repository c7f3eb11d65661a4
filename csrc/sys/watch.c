/* Looks for an interrupt by the clock. */
#if !defined(_WIN32) && !defined(_POSIX_C_SOURCE)
#define _POSIX_C_SOURCE 200112L  /* clock_gettime, nanosleep */
#endif
#include <time.h>

#if defined(_WIN32)
#include <windows.h>
#endif

#include "sys/watch.h"

/* A fraction of a millisecond of multiply-adds, so that a look at the clock costs next to nothing
 * beside it, and one small image does not look at all. */
static const double WORK = 1 << 22;
static const double PERIOD = 0.05;    /* seconds between two questions */

static int32_t (*host_interrupted)(void *context);
static void *host_context;

void lenet_set_interrupted(int32_t (*interrupted)(void *context), void *context)
{
    host_interrupted = interrupted;
    host_context = context;
}

#if defined(_WIN32)
double lenet_seconds(void)
{
    LARGE_INTEGER now, each;
    QueryPerformanceCounter(&now);
    QueryPerformanceFrequency(&each);
    return (double)now.QuadPart / (double)each.QuadPart;
}
#else
double lenet_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}
#endif

static void begin(lenet_watch *w, int32_t (*interrupted)(void *context), void *context)
{
    w->interrupted = interrupted;
    w->context = context;
    w->stopped = 0;
    w->left = WORK;
    w->due = 0.0;
}

void lenet_watch_run(lenet_watch *w, const lenet_run *run)
{
    begin(w, run->interrupted, run->context);
}

void lenet_watch_host(lenet_watch *w) { begin(w, host_interrupted, host_context); }

void lenet_look(lenet_watch *w)
{
    w->left = WORK;
    if (!w->interrupted || LENET_READ_FLAG(&w->stopped)) return;
    const double now = lenet_seconds();
    if (w->due == 0.0) w->due = now + PERIOD;
    if (now < w->due) return;
    if (w->interrupted(w->context)) LENET_SET_FLAG(&w->stopped);
    w->due = lenet_seconds() + PERIOD;  /* the host may have taken its time */
}

/* ---- long tasks ------------------------------------------------------------------------------- */

#if defined(_WIN32)

/* The last tasks of other threads are waited for without a look. */
void lenet_watched_for(lenet_watch *w, double work, int64_t n_tasks, int32_t n_threads,
                       void (*task)(void *context, int64_t i, int32_t thread), void *context)
{
    (void)w;
    (void)work;
    lenet_parallel_for(n_tasks, n_threads, task, context);
}

#else

static const double LONG_TASK = 1e9;  /* multiply-adds; some tenths of a second */

typedef struct {
    lenet_watch *watch;
    void (*task)(void *context, int64_t i, int32_t thread);
    void *context;
    int64_t n_tasks, taken, done;
} long_loop;

/* One a thread: takes tasks until there are none. */
static void take_tasks(void *context, int64_t unused, int32_t thread)
{
    long_loop *l = context;
    (void)unused;
    for (int64_t i; (i = __atomic_fetch_add(&l->taken, 1, __ATOMIC_RELAXED)) < l->n_tasks;) {
        l->task(l->context, i, thread);
        __atomic_fetch_add(&l->done, 1, __ATOMIC_RELEASE);
    }
    while (thread == 0 && __atomic_load_n(&l->done, __ATOMIC_ACQUIRE) < l->n_tasks) {
        const struct timespec a_moment = {.tv_nsec = 200000};
        nanosleep(&a_moment, NULL);
        lenet_look(l->watch);
    }
}

void lenet_watched_for(lenet_watch *w, double work, int64_t n_tasks, int32_t n_threads,
                       void (*task)(void *context, int64_t i, int32_t thread), void *context)
{
    if (work < LONG_TASK || n_threads == 1 || !w->interrupted) {
        lenet_parallel_for(n_tasks, n_threads, task, context);
        return;
    }
    if (n_threads > n_tasks) n_threads = (int32_t)n_tasks;
    long_loop l = {.watch = w, .task = task, .context = context, .n_tasks = n_tasks};
    lenet_parallel_for(n_threads, n_threads, take_tasks, &l);
}

#endif
