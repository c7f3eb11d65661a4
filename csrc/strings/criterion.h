/* The criteria of strings (lenet.h): what those who train call. */
#ifndef LENET_CRITERION_H
#define LENET_CRITERION_H

#include "lenet.h"
#include "sys/watch.h"

/* What lenet_string_loss refuses: of a criterion, and of a label for it. */
lenet_status lenet_check_criterion(const lenet_string_criterion *criterion, int32_t classes);
lenet_status lenet_check_label(const lenet_string_criterion *criterion, int32_t positions, int32_t classes,
                               const int32_t *label, int32_t length);

/* lenet_string_loss under somebody else's watch, on its calling thread; NULL: nobody's. */
lenet_status lenet_lose_string(const lenet_string_criterion *criterion, const float *outputs,
                               int32_t positions, int32_t classes, const int32_t *label, int32_t length,
                               double *loss, float *gradient, void *workspace, size_t size,
                               lenet_watch *watch);

#endif
