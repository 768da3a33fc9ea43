#ifndef REHEARSAL_CKERNELS_H
#define REHEARSAL_CKERNELS_H

#include <stddef.h>
#include <stdint.h>

#include "rows.h"

/* Elementwise kernels with AVX2 and FMA where the processor has them, chosen at run time; a plain loop otherwise. */

/* h = silu(gate) * up over `count` elements. */
void ck_swiglu(const float *gate, const float *up, float *h, size_t count);

#endif
