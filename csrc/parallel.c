/* The one parallel loop, and how many threads it may use. No other file knows of OpenMP. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE  /* sched_getaffinity */
#endif
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if defined(_WIN32)
#include <windows.h>
#else
#include <pthread.h>
#include <unistd.h>
#endif
#if defined(__linux__)
#include <sched.h>
#endif
#ifdef _OPENMP
#include <omp.h>
#endif

#include "kernels.h"

/* ---- the loop ------------------------------------------------------------------------------
 *
 * A child that was forked after the parent ran a team has no team: OpenMP's threads do not
 * survive fork, and waiting for them would hang. Such a child does its work on the one thread
 * that it has; the results are the same. */

#ifdef _OPENMP
static int team_was_started, team_was_lost;

#if !defined(_WIN32)
static pthread_once_t watch_fork = PTHREAD_ONCE_INIT;

static void in_child(void) { team_was_lost = team_was_started; }

static void start_watching(void) { pthread_atfork(NULL, NULL, in_child); }
#endif

static void run_team(int64_t n_tasks, int32_t n_threads,
                     void (*task)(void *context, int64_t i, int32_t thread), void *context)
{
#if !defined(_WIN32)
    pthread_once(&watch_fork, start_watching);
#endif
    team_was_started = 1;
#pragma omp parallel for schedule(dynamic, 1) num_threads(n_threads)
    for (int64_t i = 0; i < n_tasks; i++) task(context, i, omp_get_thread_num());
}
#endif

void lenet_parallel_for(int64_t n_tasks, int32_t n_threads,
                        void (*task)(void *context, int64_t i, int32_t thread), void *context)
{
    if (n_threads > n_tasks) n_threads = (int32_t)n_tasks;
#ifdef _OPENMP
    if (n_threads > 1 && !team_was_lost) {
        run_team(n_tasks, n_threads, task, context);
        return;
    }
#endif
    for (int64_t i = 0; i < n_tasks; i++) task(context, i, 0);
}

int32_t lenet_has_openmp(void)
{
#ifdef _OPENMP
    return 1;
#else
    return 0;
#endif
}

/* ---- how many threads ----------------------------------------------------------------------- */

static int32_t wanted_threads;

void lenet_set_threads(int32_t n) { wanted_threads = n > 0 ? n : 0; }

static int32_t usable_processors(void)
{
#if defined(__linux__)
    /* the mask must be as large as the kernel's: grow it until it is */
    for (int n = 1024; n <= 1 << 20; n *= 4) {
        cpu_set_t *set = CPU_ALLOC((size_t)n);
        if (!set) break;
        size_t size = CPU_ALLOC_SIZE((size_t)n);
        int count = sched_getaffinity(0, size, set) == 0 ? CPU_COUNT_S(size, set) : 0;
        CPU_FREE(set);
        if (count > 0) return count;
    }
    return 1;
#elif defined(_WIN32)
    DWORD_PTR process = 0, system = 0;
    int32_t count = 0;
    if (GetProcessAffinityMask(GetCurrentProcess(), &process, &system))
        for (; process; process &= process - 1) count++;
    return count > 0 ? count : 1;
#else
    long count = sysconf(_SC_NPROCESSORS_ONLN);
    return count > 0 ? (int32_t)count : 1;
#endif
}

/* Processors that the control group grants, rounded up; 0: no limit. */
static int32_t quota(void)
{
#if defined(__linux__)
    double limit = 0.0, period = 0.0;
    FILE *file = fopen("/sys/fs/cgroup/cpu.max", "r");
    if (file) {
        if (fscanf(file, "%lf %lf", &limit, &period) != 2) limit = 0.0;  /* "max 100000" */
        fclose(file);
    } else {
        file = fopen("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "r");
        if (!file) return 0;
        if (fscanf(file, "%lf", &limit) != 1) limit = 0.0;
        fclose(file);
        file = fopen("/sys/fs/cgroup/cpu/cpu.cfs_period_us", "r");
        if (!file) return 0;
        if (fscanf(file, "%lf", &period) != 1) period = 0.0;
        fclose(file);
    }
    if (limit <= 0.0 || period <= 0.0) return 0;
    double share = limit / period;
    return share < 1.0 ? 1 : share > 1e6 ? 0 : (int32_t)(share + 0.999);
#else
    return 0;
#endif
}

int32_t lenet_get_threads(void)
{
    if (wanted_threads) return wanted_threads;
    const char *text = getenv("OMP_NUM_THREADS");
    if (text) {
        long n = strtol(text, NULL, 10);  /* "4,2" gives 4: the outer level */
        if (n > 0 && n < 1 << 20) return (int32_t)n;
    }
    int32_t processors = usable_processors(), granted = quota();
    return granted && granted < processors ? granted : processors;
}
