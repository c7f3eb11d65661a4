/* The one parallel loop, for whoever has work for several threads. */
#ifndef LENET_LOOP_H
#define LENET_LOOP_H

#include "lenet.h"

enum { LENET_MAX_THREADS = 256 };

typedef void lenet_task(void *context, int64_t i, int32_t thread);

/* Calls task(context, i, thread) for i = 0 .. n_tasks - 1 on up to n_threads threads, with
 * thread < n_threads (parallel.c). */
void lenet_parallel_for(int64_t n_tasks, int32_t n_threads, lenet_task *task, void *context);

/* Prepares for forks and reads the environment; lenet_init calls it. LENET_BAD_THREADING while
 * LENET_C_THREADS names what there is not and lenet_set_threading has not said otherwise. */
lenet_status lenet_parallel_init(void);

#endif
