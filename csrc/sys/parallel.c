/* The one parallel loop: who runs it.
 *
 * A build has OpenMP's threads, where the compiler does, and a team of its own, where there are
 * POSIX threads; LENET_C_THREADS or lenet_set_threading picks. One loop is at work at a time, and
 * a caller that comes meanwhile works alone: several callers would otherwise have more threads
 * than there are processors.
 *
 * OpenMP keeps a team for each thread that ever opened a parallel region. So that there are not as
 * many teams as callers, its threads belong to one caller as long as that thread lives (openmp.c);
 * others have the core's own team, and so has a forked child, where OpenMP's threads are gone.
 * There are two teams at most, never both at work. docs/threads.md has both side by side. */
#include "sys/parallel.h"

#include <stdlib.h>
#include <string.h>
#if LENET_HAS_TEAM
#include <pthread.h>
#endif

static const char *const available[] = {
#if LENET_HAS_OPENMP
    "openmp",
#endif
#if LENET_HAS_TEAM
    "team",
#endif
#if !LENET_HAS_OPENMP && !LENET_HAS_TEAM
    "none",
#endif
};

enum { N_AVAILABLE = sizeof available / sizeof *available, UNREAD = 0, UNKNOWN = -1 };

/* 1 and up: available[n - 1]. */
static lenet_shared by_call;         /* 0: nothing was set */
static lenet_shared by_environment;  /* or UNREAD, UNKNOWN */
static lenet_shared at_work;         /* a loop is */

static int32_t find(const char *name)
{
    for (int32_t n = 0; n < N_AVAILABLE; n++)
        if (strcmp(available[n], name) == 0) return n + 1;
    return UNKNOWN;
}

const char *lenet_available_threading(int32_t n)
{
    return n >= 0 && n < N_AVAILABLE ? available[n] : NULL;
}

lenet_status lenet_set_threading(const char *name)
{
    const int32_t found = name ? find(name) : 0;
    if (found == UNKNOWN) return LENET_BAD_ARGUMENT;
    lenet_put(&by_call, found);
    return LENET_OK;
}

static const char *chosen(void)
{
    const int32_t call = lenet_get(&by_call), environment = lenet_get(&by_environment);
    return available[call > 0 ? call - 1 : environment > 0 ? environment - 1 : 0];
}

#if LENET_HAS_OPENMP
static int wants_openmp(void) { return strcmp(chosen(), "openmp") == 0; }
#endif

const char *lenet_threading(void)
{
    (void)lenet_parallel_init();
#if LENET_HAS_OPENMP && LENET_HAS_TEAM
    if (wants_openmp() && lenet_openmp_lost()) return "team";
#endif
    return chosen();
}

#if LENET_HAS_TEAM
static lenet_shared watches_fork;

static void in_child(void)
{
#if LENET_HAS_OPENMP
    lenet_openmp_forget();
#endif
    lenet_team_forget();
    lenet_put(&at_work, 0);
}

static void watch_fork(void)
{
    lenet_put(&watches_fork, pthread_atfork(NULL, NULL, in_child) == 0);
}
#endif

lenet_status lenet_parallel_init(void)
{
    if (lenet_get(&by_environment) == UNREAD) {
#if LENET_HAS_TEAM
        static pthread_once_t once = PTHREAD_ONCE_INIT;
        pthread_once(&once, watch_fork);
#endif
#if LENET_HAS_OPENMP
        lenet_openmp_init();
#endif
        const char *name = getenv("LENET_C_THREADS");
        lenet_put(&by_environment, name && *name ? find(name) : 1);
    }
    return lenet_get(&by_call) == 0 && lenet_get(&by_environment) == UNKNOWN ? LENET_BAD_THREADING
                                                                            : LENET_OK;
}

static void run_alone(int64_t n_tasks, lenet_task *task, void *context)
{
    for (int64_t i = 0; i < n_tasks; i++) task(context, i, 0);
}

/* Returns 0 if there are no threads for this caller. */
static int run_with_others(int64_t n_tasks, int32_t n_threads, lenet_task *task, void *context)
{
#if LENET_HAS_TEAM
    if (!lenet_get(&watches_fork)) return 0;  /* a child would wait for threads it does not have */
#endif
#if LENET_HAS_OPENMP
    if (wants_openmp() && lenet_openmp_run(n_tasks, n_threads, task, context)) return 1;
#endif
#if LENET_HAS_TEAM
    lenet_team_run(n_tasks, n_threads, task, context);
    return 1;
#else
    (void)n_tasks, (void)n_threads, (void)task, (void)context;
    return 0;
#endif
}

/* In a parallel region of the host the processors have work already. */
static int is_inside(void)
{
#if LENET_HAS_OPENMP
    return lenet_openmp_inside();
#else
    return 0;
#endif
}

void lenet_parallel_for(int64_t n_tasks, int32_t n_threads, lenet_task *task, void *context)
{
    n_threads = lenet_at_most(n_threads < n_tasks ? n_threads : n_tasks);
    if (n_threads < 2 || is_inside() || lenet_swap(&at_work, 1)) {
        run_alone(n_tasks, task, context);
        return;
    }
    (void)lenet_parallel_init();
    const int done = run_with_others(n_tasks, n_threads, task, context);
    lenet_put(&at_work, 0);
    if (!done) run_alone(n_tasks, task, context);
}
