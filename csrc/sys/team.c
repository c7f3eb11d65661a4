/* The core's own team of POSIX threads.
 *
 * The caller works as well and waits only for tasks that somebody has begun, so a thread that is
 * not scheduled delays nobody; a thread that cannot be had is done without. Only those that a loop
 * wants are woken, and those that none has wanted for some seconds end. */
#include "sys/parallel.h"

#if LENET_HAS_TEAM
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

enum {
    SPIN_MICROSECONDS = 100,      /* how long a thread without work stays awake */
    KEEP_MILLISECONDS = 5000,     /* and how long it is kept then */
    STACK_SIZE = 1 << 20,
    OPEN = 1 << 16                /* in team.state: workers may join; below: how many did */
};

/* A worker waits for its calls to change, joins the loop if it is still open, takes tasks until
 * there are none, and leaves. */
typedef enum { ABSENT, AWAKE, ASLEEP } presence;

typedef struct {
    _Alignas(64) atomic_uint calls;  /* loops that wanted this worker */
    atomic_int presence;             /* changes under the lock */
    pthread_mutex_t lock;
    pthread_cond_t called;
    int is_ready;                    /* lock and condition are made */
} worker;

/* The caller opens a loop, calls workers, takes tasks too, closes it, and waits for those who
 * joined. */
static struct {
    lenet_task *task;
    void *context;
    int64_t n_tasks;
    int32_t n_threads;
    atomic_llong next;            /* the first task that nobody has taken */
    atomic_int state;
    pthread_mutex_t lock;
    pthread_cond_t done;
    worker workers[LENET_MAX_THREADS];  /* by number; the caller is 0 */
} team = {.lock = PTHREAD_MUTEX_INITIALIZER, .done = PTHREAD_COND_INITIALIZER};

static lenet_shared keep_milliseconds = KEEP_MILLISECONDS;

static atomic_int n_woken;

void lenet_team_keep(int32_t milliseconds) { lenet_put(&keep_milliseconds, milliseconds); }

void lenet_team_count(int32_t *present, int32_t *asleep, int32_t *woken)
{
    *present = *asleep = 0;
    *woken = atomic_load(&n_woken);
    for (int i = 0; i < LENET_MAX_THREADS; i++) {
        const int presence = atomic_load(&team.workers[i].presence);
        *present += presence != ABSENT;
        *asleep += presence == ASLEEP;
    }
}

void lenet_team_forget(void)
{
    pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    pthread_cond_t done = PTHREAD_COND_INITIALIZER;
    team.lock = lock;
    team.done = done;
    atomic_store(&team.state, 0);
    for (int i = 0; i < LENET_MAX_THREADS; i++) {
        atomic_store(&team.workers[i].presence, ABSENT);
        team.workers[i].is_ready = 0;
    }
}

void lenet_block_signals(sigset_t *before)
{
    static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS};
    sigset_t blocked;
    sigfillset(&blocked);
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) sigdelset(&blocked, faults[i]);
    pthread_sigmask(SIG_SETMASK, &blocked, before);
}

/* ---- waiting ---------------------------------------------------------------------------------- */

static void relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static int64_t microseconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static int is_uncalled(worker *w, unsigned seen) { return atomic_load(&w->calls) == seen; }

static int somebody_works(worker *unused, unsigned unused_too)
{
    (void)unused, (void)unused_too;
    return atomic_load(&team.state) != 0;
}

/* Stays awake for a while as long as the condition holds; returns whether it still does. */
static int spin(int (*holds)(worker *, unsigned), worker *w, unsigned seen)
{
    const int64_t end = microseconds() + SPIN_MICROSECONDS;
    while (holds(w, seen)) {
        for (int i = 0; i < 16; i++) relax();
        if (microseconds() > end) return holds(w, seen);
    }
    return 0;
}

/* A condition whose time limit is on a clock that nobody sets. */
static int make_condition(pthread_cond_t *condition)
{
#if defined(__APPLE__)
    return pthread_cond_init(condition, NULL) == 0;
#else
    pthread_condattr_t attributes;
    if (pthread_condattr_init(&attributes) != 0) return 0;
    const int made = pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC) == 0
                     && pthread_cond_init(condition, &attributes) == 0;
    pthread_condattr_destroy(&attributes);
    return made;
#endif
}

/* Waits until `end`, in microseconds of the clock; returns whether that has come. */
static int wait_until(int64_t end, pthread_cond_t *condition, pthread_mutex_t *lock)
{
#if defined(__APPLE__)
    const int64_t left = end - microseconds();
    if (left <= 0) return 1;
    const struct timespec limit = {.tv_sec = left / 1000000, .tv_nsec = left % 1000000 * 1000};
    return pthread_cond_timedwait_relative_np(condition, lock, &limit) == ETIMEDOUT;
#else
    const struct timespec limit = {.tv_sec = end / 1000000, .tv_nsec = end % 1000000 * 1000};
    return pthread_cond_timedwait(condition, lock, &limit) == ETIMEDOUT;
#endif
}

/* Sleeps until the worker is called; returns 0 if it was not, for so long that it is to end. */
static int sleep_until_called(worker *w, unsigned seen)
{
    const int64_t end = microseconds() + (int64_t)lenet_get(&keep_milliseconds) * 1000;
    int is_over = 0;
    pthread_mutex_lock(&w->lock);
    atomic_store(&w->presence, ASLEEP);
    while (is_uncalled(w, seen) && !is_over) is_over = wait_until(end, &w->called, &w->lock);
    const int stays = !is_uncalled(w, seen);
    atomic_store(&w->presence, stays ? AWAKE : ABSENT);
    pthread_mutex_unlock(&w->lock);
    return stays;
}

/* ---- the loop --------------------------------------------------------------------------------- */

static void take_tasks(int32_t thread)
{
    for (int64_t i; (i = atomic_fetch_add(&team.next, 1)) < team.n_tasks;)
        team.task(team.context, i, thread);
}

static int join_loop(void)
{
    int state = atomic_load(&team.state);
    while (state & OPEN)
        if (atomic_compare_exchange_weak(&team.state, &state, state + 1)) return 1;
    return 0;
}

static void leave_loop(void)
{
    if (atomic_fetch_sub(&team.state, 1) != 1) return;
    pthread_mutex_lock(&team.lock);  /* the last one out of a closed loop */
    pthread_cond_signal(&team.done);
    pthread_mutex_unlock(&team.lock);
}

static void *work(void *argument)
{
    const int32_t thread = (int32_t)(intptr_t)argument;
    worker *w = &team.workers[thread];
    unsigned seen = atomic_load(&w->calls) - 1;  /* the loop it was started for is news */
    for (;;) {
        if (spin(is_uncalled, w, seen) && !sleep_until_called(w, seen)) return NULL;
        seen = atomic_load(&w->calls);
        if (!join_loop()) continue;
        /* a worker that comes late may find another loop, which does not want it */
        if (thread < team.n_threads) take_tasks(thread);
        leave_loop();
    }
}

static int start_worker(worker *w)
{
    pthread_attr_t attributes;
    sigset_t before;
    pthread_t id;
    if (pthread_attr_init(&attributes) != 0) return 0;
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attributes, STACK_SIZE);
    lenet_block_signals(&before);
    const intptr_t number = w - team.workers;
    const int started = pthread_create(&id, &attributes, work, (void *)number) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    return started;
}

static int make_ready(worker *w)
{
    if (w->is_ready) return 1;
    if (pthread_mutex_init(&w->lock, NULL) != 0) return 0;
    w->is_ready = make_condition(&w->called);
    return w->is_ready;
}

/* Wakes or starts the worker unless it is awake; returns 0 if it cannot be had. A worker that falls
 * asleep says so before it looks for calls a last time, and here it is called before that is read:
 * one of the two sees the other. */
static int call(worker *w)
{
    int is_there = 1;
    atomic_fetch_add(&w->calls, 1);
    if (atomic_load(&w->presence) == AWAKE) return 1;
    if (!make_ready(w)) return 0;
    atomic_fetch_add(&n_woken, 1);
    pthread_mutex_lock(&w->lock);
    if (atomic_load(&w->presence) == ABSENT) {
        atomic_store(&w->presence, AWAKE);
        is_there = start_worker(w);
        if (!is_there) atomic_store(&w->presence, ABSENT);
    } else {
        pthread_cond_signal(&w->called);
    }
    pthread_mutex_unlock(&w->lock);
    return is_there;
}

void lenet_team_run(int64_t n_tasks, int32_t n_threads, lenet_task *task, void *context)
{
    team.task = task;
    team.context = context;
    team.n_tasks = n_tasks;
    team.n_threads = n_threads;
    atomic_store(&team.next, 0);
    atomic_store(&team.state, OPEN);
    for (int32_t i = 1; i < n_threads; i++)
        if (atomic_load(&team.next) >= n_tasks || !call(&team.workers[i])) break;

    take_tasks(0);
    atomic_fetch_sub(&team.state, OPEN);
    if (spin(somebody_works, NULL, 0)) {
        pthread_mutex_lock(&team.lock);
        while (somebody_works(NULL, 0)) pthread_cond_wait(&team.done, &team.lock);
        pthread_mutex_unlock(&team.lock);
    }
}

#else
typedef int nothing_here;         /* C wants a declaration */
#endif
