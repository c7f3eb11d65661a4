/* How many threads a call uses when it does not say. */
#include "sys/parallel.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if defined(_WIN32)
#include <windows.h>
#else
#include <unistd.h>
#endif
#if defined(__linux__)
#include <sched.h>
#include <time.h>
#endif

static lenet_shared wanted;

void lenet_set_threads(int32_t n) { lenet_put(&wanted, n > 0 ? lenet_at_most(n) : 0); }

/* ---- what the machine grants ------------------------------------------------------------------ */

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
    FILE *file = fopen(path, "re");
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
        FILE *file = fopen(names[i], "re");
        if (!file) return 0.0;
        if (fscanf(file, "%lf", &value[i]) != 1) value[i] = 0.0;
        fclose(file);
    }
    return value[0] > 0.0 && value[1] > 0.0 ? value[0] / value[1] : 0.0;
}

/* Processors that the control groups grant, rounded up; 0: no limit. The smallest share of this
 * process's group and those above it counts. */
static int32_t read_quota(void)
{
    double smallest = 0.0;
    char line[4096], group[4096] = "";
    FILE *file = fopen("/proc/self/cgroup", "re");
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
    return smallest <= 0.0 || smallest > 1e6 ? 0 : smallest < 1.0 ? 1 : (int32_t)(smallest + 0.999);
}

/* Reading those files takes longer than reading an image, so the quota is what it was within the last
 * second. */
static int32_t quota(void)
{
    enum { MILLISECONDS = 1000 };
    static lenet_shared kept, when, is_known;
    struct timespec clock;
    clock_gettime(CLOCK_MONOTONIC, &clock);
    const uint32_t now = (uint32_t)clock.tv_sec * 1000u + (uint32_t)(clock.tv_nsec / 1000000);
    if (!lenet_get(&is_known) || now - (uint32_t)lenet_get(&when) >= MILLISECONDS) {
        lenet_put(&kept, read_quota());
        lenet_put(&when, (int32_t)now);
        lenet_put(&is_known, 1);
    }
    return lenet_get(&kept);
}
#else
static int32_t quota(void) { return 0; }
#endif

/* ---- the number ------------------------------------------------------------------------------- */

/* Where OpenMP is in the build it has read this already, unless it was set since. */
static int32_t named_by_environment(void)
{
    const char *text = getenv("OMP_NUM_THREADS");
    const long n = text ? strtol(text, NULL, 10) : 0;  /* "4,2" gives 4: the outer level */
    return n > 0 ? lenet_at_most(n) : 0;
}

int32_t lenet_get_threads(void)
{
    int32_t n = lenet_get(&wanted);
    (void)lenet_parallel_init();
#if LENET_HAS_OPENMP
    if (!n) n = lenet_openmp_limit();
#endif
    if (!n) n = named_by_environment();
    if (n) return n;
#if LENET_HAS_OPENMP
    n = lenet_openmp_processors();
#endif
    if (!n) n = usable_processors();
    const int32_t granted = quota();
    return lenet_at_most(granted && granted < n ? granted : n);
}
