/* The one parallel loop, and how many threads it may use.
 *
 * The loop is a small team of POSIX threads rather than OpenMP's. GNU's OpenMP ends the process
 * when no thread can be started, has a team for each calling thread, and none after a fork; and at
 * the end of a loop it waits for every thread to arrive, and spins meanwhile, which costs a time
 * slice when other processes want the processors too. Here the caller works as well and waits only
 * for tasks that somebody has begun, so a thread that is not scheduled delays nobody. Where there
 * are no POSIX threads, and with LENET_USE_OPENMP, it is OpenMP's loop, and without OpenMP a plain
 * one. docs/threads.md has both side by side. */
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

#include "kernels.h"

#if defined(_OPENMP) && (defined(LENET_USE_OPENMP) || defined(_WIN32))
#include <omp.h>
#define OPENMP_TEAM
const char *lenet_threading(void) { return "OpenMP"; }
#elif !defined(_WIN32)
#include <signal.h>
#include <stdatomic.h>
#include <time.h>
#define POSIX_TEAM
const char *lenet_threading(void) { return "POSIX"; }
#else
const char *lenet_threading(void) { return "none"; }
#endif

typedef void task_function(void *context, int64_t i, int32_t thread);

static void run_alone(int64_t n_tasks, task_function *task, void *context)
{
    for (int64_t i = 0; i < n_tasks; i++) task(context, i, 0);
}

/* ---- the team -------------------------------------------------------------------------------- */

#if defined(POSIX_TEAM)

enum {
    SPIN_MICROSECONDS = 100,  /* how long a thread without work stays awake */
    STACK_SIZE = 1 << 20,
    OPEN = 1 << 16            /* in team.state: workers may join the loop; below: how many did */
};

typedef struct {
    task_function *task;
    void *context;
    int64_t n_tasks;
    int32_t n_threads;
    atomic_llong next;        /* the first task that nobody has taken */
} loop;

/* A worker waits for team.loops to change, joins the loop if it is still open, takes tasks until
 * there are none, and leaves. The caller opens a loop, takes tasks too, closes it, and waits for
 * those who joined. One loop at a time: a second caller finds `busy` taken and works alone. */
static struct {
    pthread_mutex_t busy;     /* held by the caller of the loop */
    pthread_mutex_t lock;     /* for the conditions, and n_asleep */
    pthread_cond_t work, done;
    int n_workers, n_asleep, watches_fork;
    loop loop;
    atomic_uint loops;        /* how many were opened so far */
    atomic_int state;
} team = {.busy = PTHREAD_MUTEX_INITIALIZER,
          .lock = PTHREAD_MUTEX_INITIALIZER,
          .work = PTHREAD_COND_INITIALIZER,
          .done = PTHREAD_COND_INITIALIZER};

/* In a forked child there are no workers; it starts its own when it needs some. */
static void forget_team(void)
{
    pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
    team.busy = team.lock = mutex;
    team.work = team.done = condition;
    team.n_workers = team.n_asleep = 0;
    atomic_store(&team.state, 0);
}

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

static int no_loop_since(unsigned seen) { return atomic_load(&team.loops) == seen; }

static int somebody_works(unsigned unused)
{
    (void)unused;
    return atomic_load(&team.state) != 0;
}

/* Stays awake for a while as long as the condition holds; returns whether it still does. */
static int spin(int (*holds)(unsigned), unsigned argument)
{
    const int64_t end = microseconds() + SPIN_MICROSECONDS;
    while (holds(argument)) {
        for (int i = 0; i < 16; i++) relax();
        if (microseconds() > end) return holds(argument);
    }
    return 0;
}

static void take_tasks(int32_t thread)
{
    loop *l = &team.loop;
    for (int64_t i; (i = atomic_fetch_add(&l->next, 1)) < l->n_tasks;)
        l->task(l->context, i, thread);
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

static void *worker(void *argument)
{
    const int32_t thread = (int32_t)(intptr_t)argument;
    unsigned seen = atomic_load(&team.loops) - 1;  /* the loop it was started for is news */
    for (;;) {
        if (spin(no_loop_since, seen)) {
            pthread_mutex_lock(&team.lock);
            team.n_asleep++;
            while (no_loop_since(seen)) pthread_cond_wait(&team.work, &team.lock);
            team.n_asleep--;
            pthread_mutex_unlock(&team.lock);
        }
        seen = atomic_load(&team.loops);
        if (!join_loop()) continue;
        if (thread < team.loop.n_threads) take_tasks(thread);
        leave_loop();
    }
    return NULL;
}

/* Starts workers until there are n; fewer if the system gives no more, and none if a forked child
 * would not learn that it has none. */
static void start_workers(int n)
{
    pthread_attr_t attributes;
    sigset_t all, before;
    if (team.n_workers >= n) return;
    if (!team.watches_fork) team.watches_fork = pthread_atfork(NULL, NULL, forget_team) == 0;
    if (!team.watches_fork || pthread_attr_init(&attributes) != 0) return;
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attributes, STACK_SIZE);
    sigfillset(&all);  /* signals belong to the host's threads */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    for (pthread_t id; team.n_workers < n; team.n_workers++) {
        void *thread = (void *)(intptr_t)(team.n_workers + 1);
        if (pthread_create(&id, &attributes, worker, thread) != 0) break;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
}

static void run_team(int64_t n_tasks, int32_t n_threads, task_function *task, void *context)
{
    if (pthread_mutex_trylock(&team.busy) != 0) {
        run_alone(n_tasks, task, context);
        return;
    }
    team.loop.task = task;
    team.loop.context = context;
    team.loop.n_tasks = n_tasks;
    team.loop.n_threads = n_threads;
    atomic_store(&team.loop.next, 0);
    atomic_store(&team.state, OPEN);
    atomic_fetch_add(&team.loops, 1);
    start_workers(n_threads - 1);
    pthread_mutex_lock(&team.lock);
    if (team.n_asleep) pthread_cond_broadcast(&team.work);
    pthread_mutex_unlock(&team.lock);

    take_tasks(0);
    atomic_fetch_sub(&team.state, OPEN);
    if (spin(somebody_works, 0)) {
        pthread_mutex_lock(&team.lock);
        while (somebody_works(0)) pthread_cond_wait(&team.done, &team.lock);
        pthread_mutex_unlock(&team.lock);
    }
    pthread_mutex_unlock(&team.busy);
}

#elif defined(OPENMP_TEAM)

/* OpenMP's threads do not survive a fork, and waiting for them would hang: a child whose parent
 * had a team works on the one thread that it has. */
static int team_was_started, team_was_lost;

#if !defined(_WIN32)
static pthread_once_t watch_fork = PTHREAD_ONCE_INIT;

static void in_child(void) { team_was_lost = team_was_started; }

static void start_watching(void) { pthread_atfork(NULL, NULL, in_child); }
#endif

static void run_team(int64_t n_tasks, int32_t n_threads, task_function *task, void *context)
{
    if (team_was_lost) {
        run_alone(n_tasks, task, context);
        return;
    }
#if !defined(_WIN32)
    pthread_once(&watch_fork, start_watching);
#endif
    team_was_started = 1;
#pragma omp parallel for schedule(dynamic, 1) num_threads(n_threads)
    for (int64_t i = 0; i < n_tasks; i++) task(context, i, omp_get_thread_num());
}

#else

static void run_team(int64_t n_tasks, int32_t n_threads, task_function *task, void *context)
{
    (void)n_threads;
    run_alone(n_tasks, task, context);
}

#endif

static int32_t at_most(int64_t n)
{
    return n < LENET_MAX_THREADS ? (int32_t)n : LENET_MAX_THREADS;
}

void lenet_parallel_for(int64_t n_tasks, int32_t n_threads, task_function *task, void *context)
{
    n_threads = at_most(n_threads < n_tasks ? n_threads : n_tasks);
    if (n_threads > 1)
        run_team(n_tasks, n_threads, task, context);
    else
        run_alone(n_tasks, task, context);
}

/* ---- how many threads ----------------------------------------------------------------------- */

static int32_t wanted_threads;

void lenet_set_threads(int32_t n) { wanted_threads = n > 0 ? at_most(n) : 0; }

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

#if defined(__linux__)
/* Quota over period of one control group; 0: no limit, or no such file. */
static double share_of(const char *folder, const char *group)
{
    char path[4096];
    double limit = 0.0, period = 0.0;
    if (snprintf(path, sizeof path, "%s%s/cpu.max", folder, group) >= (int)sizeof path) return 0.0;
    FILE *file = fopen(path, "r");
    if (!file) return 0.0;
    if (fscanf(file, "%lf %lf", &limit, &period) != 2) limit = 0.0;  /* "max 100000" */
    fclose(file);
    return limit > 0.0 && period > 0.0 ? limit / period : 0.0;
}

/* The same of version 1, which containers see as their own at the root. */
static double old_share(void)
{
    static const char *const names[] = {"/sys/fs/cgroup/cpu/cpu.cfs_quota_us",
                                        "/sys/fs/cgroup/cpu/cpu.cfs_period_us"};
    double value[2] = {0.0, 0.0};
    for (int i = 0; i < 2; i++) {
        FILE *file = fopen(names[i], "r");
        if (!file) return 0.0;
        if (fscanf(file, "%lf", &value[i]) != 1) value[i] = 0.0;
        fclose(file);
    }
    return value[0] > 0.0 && value[1] > 0.0 ? value[0] / value[1] : 0.0;
}
#endif

/* Processors that the control groups grant, rounded up; 0: no limit. The smallest share of this
 * process's group and those above it counts. */
static int32_t quota(void)
{
    double smallest = 0.0;
#if defined(__linux__)
    char line[4096], group[4096] = "";
    FILE *file = fopen("/proc/self/cgroup", "r");
    while (file && fgets(line, sizeof line, file))
        if (strncmp(line, "0::/", 4) == 0) strcpy(group, line + 3);
    if (file) fclose(file);
    group[strcspn(group, "\n")] = '\0';
    for (;;) {
        double share = share_of("/sys/fs/cgroup", group);
        if (share > 0.0 && (smallest == 0.0 || share < smallest)) smallest = share;
        char *end = strrchr(group, '/');
        if (!end) break;
        *end = '\0';
    }
    if (smallest == 0.0) smallest = old_share();
#endif
    return smallest <= 0.0 || smallest > 1e6 ? 0 : smallest < 1.0 ? 1 : (int32_t)(smallest + 0.999);
}

int32_t lenet_get_threads(void)
{
    if (wanted_threads) return wanted_threads;
    const char *text = getenv("OMP_NUM_THREADS");
    if (text) {
        long n = strtol(text, NULL, 10);  /* "4,2" gives 4: the outer level */
        if (n > 0) return at_most(n);
    }
    int32_t processors = usable_processors(), granted = quota();
    return at_most(granted && granted < processors ? granted : processors);
}
