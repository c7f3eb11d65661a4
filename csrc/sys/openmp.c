/* OpenMP's threads: the loop, who may use them, and what they are limited to. */
#include "sys/parallel.h"

#if LENET_HAS_OPENMP
#include <omp.h>

static lenet_shared is_lost;      /* in a forked child */
static lenet_shared unlimited;    /* what OpenMP said before anybody limited it */

/* ---- the loop ------------------------------------------------------------------------------- */

#if LENET_HAS_TEAM
#include <pthread.h>

/* The threads are one caller's from its first loop to its end: GNU's OpenMP would start others for
 * the next caller, and keep these as well. */
static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t key;         /* has a value in the thread whose they are */
static int has_key;
static lenet_shared is_taken;
static int32_t n_running;         /* in the last loop; those beyond it have ended */

static void give_back(void *unused)
{
    (void)unused;
    lenet_put(&is_taken, 0);
}

static void make_key(void) { has_key = pthread_key_create(&key, give_back) == 0; }

static int take(void)
{
    if (lenet_get(&is_lost)) return 0;
    pthread_once(&once, make_key);
    if (!has_key) return 0;
    if (pthread_getspecific(key)) return 1;
    if (lenet_swap(&is_taken, 1)) return 0;
    n_running = 0;
    if (pthread_setspecific(key, &key) == 0) return 1;
    lenet_put(&is_taken, 0);
    return 0;
}

/* Threads are started in a region of their own, so that signals are blocked in the caller for no
 * longer than that takes. */
static void start(int32_t n_threads)
{
    static int32_t n_started;     /* nobody asks, but an empty region would be left out */
    sigset_t before;
    if (n_threads > n_running) {
        lenet_block_signals(&before);
#pragma omp parallel num_threads(n_threads)
        {
#pragma omp atomic
            n_started++;
        }
        pthread_sigmask(SIG_SETMASK, &before, NULL);
    }
    n_running = n_threads;
}
#else
static int take(void) { return 1; }
static void start(int32_t n_threads) { (void)n_threads; }
#endif

int lenet_openmp_run(int64_t n_tasks, int32_t n_threads, lenet_task *task, void *context)
{
    if (!take()) return 0;
    start(n_threads);
#pragma omp parallel for schedule(dynamic, 1) num_threads(n_threads)
    for (int64_t i = 0; i < n_tasks; i++) task(context, i, omp_get_thread_num());
    return 1;
}

int lenet_openmp_inside(void) { return omp_in_parallel(); }

void lenet_openmp_forget(void) { lenet_put(&is_lost, 1); }

int lenet_openmp_lost(void) { return lenet_get(&is_lost); }

/* ---- what it is limited to ------------------------------------------------------------------ */

static int32_t limit(void)
{
    int n = omp_get_max_threads();
#if _OPENMP >= 200805
    if (omp_get_thread_limit() < n) n = omp_get_thread_limit();
#endif
    return lenet_at_most(n);
}

/* What OpenMP says of itself is no limit: it knows no quota, and not the processors of today. If it
 * says less than there are processors, OMP_NUM_THREADS or somebody's omp_set_num_threads did. */
void lenet_openmp_init(void)
{
    const int32_t n = limit(), processors = lenet_at_most(omp_get_num_procs());
    lenet_put(&unlimited, n > processors ? n : processors);
}

int32_t lenet_openmp_limit(void)
{
    const int32_t n = limit();
    return n == lenet_get(&unlimited) ? 0 : n;
}

int32_t lenet_openmp_processors(void)
{
#if _OPENMP >= 201307
    if (omp_get_proc_bind() != omp_proc_bind_false) return lenet_at_most(omp_get_num_procs());
#endif
    return 0;
}

#else
typedef int nothing_here;         /* C wants a declaration */
#endif
