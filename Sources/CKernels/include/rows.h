#ifndef REHEARSAL_CKERNELS_ROWS_H
#define REHEARSAL_CKERNELS_ROWS_H

#include <stddef.h>
#include <stdint.h>

/* Kernels over rows of row-major float32 matrices. A pitch is the distance of two rows, in elements. */

/* RMSNorm: inverse[r] = 1 / sqrt(mean(x[r]^2) + epsilon); y = x * inverse * weight. y may be x. */
void ck_rms_norm(const float *x, size_t pitch, size_t rows, size_t width, const float *weight, float epsilon,
                 float *inverse, float *y, size_t y_pitch);

/* The same y from the stored inverses. */
void ck_rms_norm_again(const float *x, size_t pitch, size_t rows, size_t width, const float *weight,
                       const float *inverse, float *y, size_t y_pitch);

/* dx = [residual +] the norm's input gradient; dweight += its weight gradient. dx may be dy or residual; residual
   may be null and has the pitch of dx. */
void ck_rms_norm_gradient(const float *dy, size_t dy_pitch, const float *x, size_t pitch, size_t rows, size_t width,
                          const float *weight, const float *inverse, const float *residual, float *dx,
                          size_t dx_pitch, float *dweight);

/* Turns 2 * half elements of every head of every token, in place, by the angles of the token's position in its
   sequence; backwards (the transposed map) where inverse is set.
   cosines and sines are [length, half]; interleaved pairs (0, 1) or halves (0, half). */
void ck_rotate(float *x, size_t pitch, size_t tokens, size_t heads, size_t head_pitch, size_t length,
               const float *cosines, const float *sines, size_t half, int interleaved, int inverse);

/* x[r] += bias. */
void ck_add_bias(float *x, size_t pitch, size_t rows, size_t width, const float *bias);

/* sums += the sum of all rows, in their order. */
void ck_column_sums(const float *x, size_t pitch, size_t rows, size_t width, float *sums);

/* Cross-entropy of rows of logits: returns the sum of log(sum(exp(logits))) - logits[label], and turns the logits
   into scale * (softmax - onehot(label)). */
double ck_cross_entropy(float *logits, size_t rows, size_t width, const int32_t *labels, float scale);

/* One step of Adam with decoupled weight decay. decay = 1 - rate * weight decay; step = rate / (1 - beta1^t);
   correction = 1 / sqrt(1 - beta2^t). */
typedef struct {
  float beta1, beta2, epsilon, decay, step, correction, gradient_scale;
} ck_adamw_constants;
void ck_adamw(float *parameters, const float *gradients, float *first, float *second, size_t count,
              ck_adamw_constants constants);

/* The sum of squares in eight interleaved double sums, added in order: the same bits with and without AVX2. */
double ck_sum_of_squares(const float *x, size_t count);

/* Causal attention, one tile of queries of one head.
   scores[r] holds the products of query first + r with keys 0 ..< columns. Turns them into softmax(scale * scores)
   over keys 0 ... first + r, zero beyond, and leaves log(sum(exp(scale * scores))) in log_sum[r * log_pitch]. */
void ck_causal_softmax(float *scores, size_t pitch, size_t rows, size_t first, size_t columns, float scale,
                       float *log_sum, size_t log_pitch);

/* Turns scores into probabilities again and dp, their gradient, into that of the unscaled scores:
   ds = p * (dp - <dout, out>) * scale. out and dout are the rows' attention outputs, value_width wide. */
void ck_causal_softmax_gradient(float *scores, float *dp, size_t pitch, size_t rows, size_t first, size_t columns,
                                float scale, const float *log_sum, size_t log_pitch, const float *out,
                                size_t out_pitch, const float *dout, size_t dout_pitch, size_t value_width);

#endif
