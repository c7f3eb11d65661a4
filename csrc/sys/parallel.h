/* What the files of the parallel loop share: parallel.c picks who runs a loop, openmp.c and team.c
 * run it, and processors.c says how many threads there may be. */
#ifndef LENET_PARALLEL_H
#define LENET_PARALLEL_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE  /* POSIX, sched_getaffinity; before any other header */
#endif
#include "sys/loop.h"

#if defined(_OPENMP)
#define LENET_HAS_OPENMP 1
#else
#define LENET_HAS_OPENMP 0
#endif

/* The core's own team is of POSIX threads, which WebAssembly has none of. */
#if defined(_WIN32) || defined(__wasm__)
#define LENET_HAS_TEAM 0
#else
#define LENET_HAS_TEAM 1
#include <signal.h>
#endif

/* A number that several threads read and write. */
#if defined(_MSC_VER) && !defined(__clang__)
#include <intrin.h>
typedef volatile long lenet_shared;  /* C11's atomics are behind a switch there */
static inline int32_t lenet_get(lenet_shared *a) { return _InterlockedOr(a, 0); }
static inline int32_t lenet_swap(lenet_shared *a, int32_t n) { return _InterlockedExchange(a, n); }
#else
#include <stdatomic.h>
typedef _Atomic int32_t lenet_shared;
static inline int32_t lenet_get(lenet_shared *a) { return atomic_load(a); }
static inline int32_t lenet_swap(lenet_shared *a, int32_t n) { return atomic_exchange(a, n); }
#endif
static inline void lenet_put(lenet_shared *a, int32_t n) { (void)lenet_swap(a, n); }

static inline int32_t lenet_at_most(int64_t n)
{
    return n < LENET_MAX_THREADS ? (int32_t)n : LENET_MAX_THREADS;
}

#if LENET_HAS_OPENMP
/* Looks at what OpenMP is limited to before anybody limits it further. */
void lenet_openmp_init(void);
/* Runs the loop, or returns 0 if its threads are not this thread's to use. */
int lenet_openmp_run(int64_t n_tasks, int32_t n_threads, lenet_task *task, void *context);
/* Whether this thread already works in somebody's parallel region. */
int lenet_openmp_inside(void);
/* Threads that somebody has limited OpenMP to; 0: nobody has. */
int32_t lenet_openmp_limit(void);
/* Processors, where OpenMP has bound its threads to single ones; else 0. */
int32_t lenet_openmp_processors(void);
/* In a forked child: its threads are gone, and waiting for them would hang. */
void lenet_openmp_forget(void);
int lenet_openmp_lost(void);
#endif

#if LENET_HAS_TEAM
/* Blocks the signals that the host's threads should have, while threads are started that inherit
 * what is blocked; all but those that tell of a thread's own fault. */
void lenet_block_signals(sigset_t *before);

/* Runs the loop, with fewer threads if the system gives no more. One caller at a time. */
void lenet_team_run(int64_t n_tasks, int32_t n_threads, lenet_task *task, void *context);
/* For tests: how long a thread without work is kept, how many there are, how many of them are asleep,
 * and how often one was woken or started. */
void lenet_team_keep(int32_t milliseconds);
void lenet_team_count(int32_t *present, int32_t *asleep, int32_t *woken);
/* In a forked child: there are no workers and nobody holds a lock. */
void lenet_team_forget(void);
#endif

#endif
