#ifndef REHEARSAL_CKERNELS_BF16_H
#define REHEARSAL_CKERNELS_BF16_H

#include <stddef.h>
#include <stdint.h>

/* The upper halves of `count` float32 numbers, rounded to the nearest even; NaN stays NaN. */
void ck_bf16_encode(const float *x, uint16_t *codes, size_t count);

/* The float32 numbers whose upper halves are given. */
void ck_bf16_decode(const uint16_t *codes, float *x, size_t count);

#endif
