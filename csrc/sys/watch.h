/* Whether a call is to end: asked by the clock while it runs (watch.c).
 *
 * The calling thread, which is thread 0 of every loop, counts the work that it has done, about in
 * multiply-adds; when that is enough to be worth a look at the clock it looks, and when 50 ms have
 * passed it asks the host. The other threads, and the calling thread between two looks, read a
 * flag. All leave their loops when it is set, so what a call computes does not depend on the clock
 * unless it is ended. */
#ifndef LENET_WATCH_H
#define LENET_WATCH_H

#include "sys/loop.h"

#if defined(_MSC_VER) && !defined(__clang__)
typedef volatile int lenet_flag;  /* C11's atomics are behind a switch there */
#define LENET_READ_FLAG(flag) (*(flag))
#define LENET_SET_FLAG(flag) (*(flag) = 1)
#else
typedef int lenet_flag;
#define LENET_READ_FLAG(flag) __atomic_load_n(flag, __ATOMIC_RELAXED)
#define LENET_SET_FLAG(flag) __atomic_store_n(flag, 1, __ATOMIC_RELAXED)
#endif

typedef struct lenet_watch {
    int32_t (*interrupted)(void *context);  /* or NULL */
    void *context;
    lenet_flag stopped;
    char apart[64];  /* what follows is the calling thread's, which writes it all the time */
    double left;     /* work until the next look at the clock */
    double due;      /* when to ask; 0: 50 ms after the next look */
} lenet_watch;

/* Seconds of a clock that only goes forward. */
double lenet_seconds(void);

/* Begins a watch. */
void lenet_watch_run(lenet_watch *w, const lenet_run *run);

/* The same for calls without a lenet_run: asks what lenet_set_interrupted was told. */
void lenet_watch_host(lenet_watch *w);

/* The calling thread looks at the clock, and asks if it is time. */
void lenet_look(lenet_watch *w);

/* Whether the call is to end, before so much work. */
static inline int lenet_stopped(lenet_watch *w, int is_caller, double work)
{
    if (is_caller) {
        if (w->left < 0.0) lenet_look(w);
        w->left -= work;
    }
    return LENET_READ_FLAG(&w->stopped);
}

/* lenet_parallel_for, during which the calling thread goes on looking while it waits for the last
 * tasks of other threads; for tasks that take long, `work` each. */
void lenet_watched_for(lenet_watch *w, double work, int64_t n_tasks, int32_t n_threads,
                       lenet_task *task, void *context);

/* What ran since the last lap was this part of this layer; NULL: nobody asked. */
static inline void lenet_lap(lenet_profile *profile, lenet_part part, int layer)
{
    if (!profile) return;
    const double now = lenet_seconds();
    profile->seconds[part][layer] += now - profile->last;
    profile->last = now;
}

#endif
