#ifndef REHEARSAL_CKERNELS_EXPERTS_H
#define REHEARSAL_CKERNELS_EXPERTS_H

#include <stddef.h>
#include <stdint.h>

/* Elementwise kernels of experts and routers. Matrices are row-major float32. */

/* What the kernels use of the processor: 2 for AVX-512, 1 for AVX2 and FMA, 0 for neither. */
int ck_level(void);

/* Uses less of the processor than it has, on the calling thread, for tests of every variant; asking for more than it
   has gives all. */
void ck_use_level(int level);

/* y = 1 / (1 + exp(-x)). Minus infinity gives 0, infinity 1; not a number stays so. y may be x. */
void ck_sigmoid(const float *x, float *y, size_t count);

/* y = exp(x), within 2e-7 of it; overflow gives infinity. y may be x. */
void ck_exp(const float *x, float *y, size_t count);

/* h = gate * sigmoid(gate) * up. An infinite gate never turns into a finite number, so that it is seen:
   minus infinity gives not a number, as the product itself does. */
void ck_swiglu(const float *gate, const float *up, float *h, size_t count);

/* dgate = dh * up * s * (1 + gate * (1 - s)) and dup = dh * gate * s, with s = sigmoid(gate).
   dgate and dup may be gate, up or dh. */
void ck_swiglu_gradient(const float *gate, const float *up, const float *dh, float *dgate, float *dup, size_t count);

/* y += factor * x. */
void ck_axpy(float factor, const float *x, float *y, size_t count);

/* y = factor * x. y may be x. */
void ck_scale(float factor, const float *x, float *y, size_t count);

/* The dot product, summed in 16 interleaved parts. */
float ck_dot(const float *a, const float *b, size_t count);

/* y[r] = x[indices[r]]. */
void ck_gather_rows(const float *x, const int32_t *indices, size_t rows, size_t width, float *y);

/* y[r] = sum over k of factors[k] * x[indices[k]], k in starts[r] ..< starts[r + 1] in that order; factors may be
   null for ones. An empty sum gives zeros, or leaves y as it is where accumulating. */
void ck_sum_rows(const float *x, const int32_t *starts, const int32_t *indices, const float *factors, size_t rows,
                 size_t width, int accumulate, float *y);

/* y[indices[r]] += factors[r] * x[r]; factors may be null for ones. */
void ck_scatter_add_rows(const float *x, const int32_t *indices, const float *factors, size_t rows, size_t width,
                         float *y);

#endif
