#ifndef REHEARSAL_CKERNELS_PRODUCT_H
#define REHEARSAL_CKERNELS_PRODUCT_H

#include <stddef.h>

/* C[rows, columns] = scale * op(A) op(B), or that added to C where accumulating. op(A) is [rows, depth] and op(B)
   [depth, columns]; a turned operand lies in memory the other way round. A step is the distance of two rows in memory.
   rows, columns and depth are at least 1. Uses the calling thread alone and memory that the thread keeps. */
void ck_product(size_t rows, size_t columns, size_t depth, float scale, const float *a, int a_is_turned,
                size_t a_step, const float *b, int b_is_turned, size_t b_step, float *c, size_t c_step,
                int accumulate);

/* Multiply-adds without memory, as many at once as hide their latency, `rounds` times; returns the operations made.
   How fast they are is the peak that products are measured against. */
double ck_peak_operations(size_t rounds);

#endif
