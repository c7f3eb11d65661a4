/* The kernels that are always there: plain C, no instruction set beyond the target's own. */
#include "kernels/vec/portable.h"
#include "kernels/table.h"
