#ifndef REHEARSAL_CKERNELS_TURN_H
#define REHEARSAL_CKERNELS_TURN_H

#include <stddef.h>

/* to[c, r] = or += from[r, c]. */
void ck_turn(const float *from, size_t from_step, size_t rows, size_t columns, float *to, size_t to_step,
             int accumulate);

#endif
