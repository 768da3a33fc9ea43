#ifndef REHEARSAL_CKERNELS_H
#define REHEARSAL_CKERNELS_H

#include <stddef.h>
#include <stdint.h>

#include "bf16.h"
#include "experts.h"
#include "fp8.h"
#include "product.h"
#include "rows.h"
#include "threads.h"

/* Kernels with AVX-512, or AVX2 and FMA, where the processor has them, chosen at run time; plain loops otherwise. */

#endif
