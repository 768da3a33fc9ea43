#include "CKernels.h"
#include "lanes.h"
#include "variants.h"

#include <math.h>

/* MARK: Norm */

CK_INLINE void norm_row(const float *x, size_t width, const float *weight, float inverse, float *y) {
  for (size_t i = 0; i < width; i++) y[i] = x[i] * inverse * weight[i];
}

CK_INLINE float dot(const float *a, const float *b, size_t count) {
  lanes total = splat(0);
  size_t i = 0;
  for (; i + lane_count <= count; i += lane_count) total += load(a + i) * load(b + i);
  if (i < count) total += load_some(a + i, count - i, 0) * load_some(b + i, count - i, 0);
  return sum(total);
}

CK_INLINE float dot_of_three(const float *a, const float *b, const float *c, size_t count) {
  lanes total = splat(0);
  size_t i = 0;
  for (; i + lane_count <= count; i += lane_count) total += load(a + i) * load(b + i) * load(c + i);
  if (i < count) {
    size_t rest = count - i;
    total += load_some(a + i, rest, 0) * load_some(b + i, rest, 0) * load_some(c + i, rest, 0);
  }
  return sum(total);
}

CK_INLINE void ck_rms_norm_loop(const float *x, size_t pitch, size_t rows, size_t width, const float *weight,
                                float epsilon, float *inverse, float *y, size_t y_pitch) {
  for (size_t r = 0; r < rows; r++) {
    const float *row = x + r * pitch;
    inverse[r] = 1 / sqrtf(dot(row, row, width) / (float)width + epsilon);
    norm_row(row, width, weight, inverse[r], y + r * y_pitch);
  }
}
CK_VARIANTS(void, ck_rms_norm,
       (const float *x, size_t pitch, size_t rows, size_t width, const float *weight, float epsilon, float *inverse,
        float *y, size_t y_pitch),
       (x, pitch, rows, width, weight, epsilon, inverse, y, y_pitch))

CK_INLINE void ck_rms_norm_again_loop(const float *x, size_t pitch, size_t rows, size_t width, const float *weight,
                                      const float *inverse, float *y, size_t y_pitch) {
  for (size_t r = 0; r < rows; r++) norm_row(x + r * pitch, width, weight, inverse[r], y + r * y_pitch);
}
CK_VARIANTS(void, ck_rms_norm_again,
       (const float *x, size_t pitch, size_t rows, size_t width, const float *weight, const float *inverse, float *y,
        size_t y_pitch),
       (x, pitch, rows, width, weight, inverse, y, y_pitch))

CK_INLINE void ck_rms_norm_gradient_loop(const float *dy, size_t dy_pitch, const float *x, size_t pitch, size_t rows,
                                         size_t width, const float *weight, const float *inverse, const float *residual,
                                         float *dx, size_t dx_pitch, float *dweight) {
  for (size_t r = 0; r < rows; r++) {
    const float *gradient = dy + r * dy_pitch;
    const float *row = x + r * pitch;
    float *result = dx + r * dx_pitch;
    float scale = inverse[r];
    float pull = dot_of_three(gradient, weight, row, width) * scale * scale * scale / (float)width;
    /* The gradient is read before the result is written: they may be one row. */
    if (residual) {
      const float *kept = residual + r * dx_pitch;
      for (size_t i = 0; i < width; i++) {
        float g = gradient[i];
        dweight[i] += g * row[i] * scale;
        result[i] = kept[i] + (g * weight[i] * scale - row[i] * pull);
      }
    } else {
      for (size_t i = 0; i < width; i++) {
        float g = gradient[i];
        dweight[i] += g * row[i] * scale;
        result[i] = g * weight[i] * scale - row[i] * pull;
      }
    }
  }
}
CK_VARIANTS(void, ck_rms_norm_gradient,
       (const float *dy, size_t dy_pitch, const float *x, size_t pitch, size_t rows, size_t width,
        const float *weight, const float *inverse, const float *residual, float *dx, size_t dx_pitch, float *dweight),
       (dy, dy_pitch, x, pitch, rows, width, weight, inverse, residual, dx, dx_pitch, dweight))

/* MARK: Rotation */

CK_INLINE void ck_rotate_loop(float *x, size_t pitch, size_t tokens, size_t heads, size_t head_pitch, size_t length,
                              const float *cosines, const float *sines, size_t half, int interleaved, int inverse) {
  const float turn = inverse ? -1 : 1;
  const size_t step = interleaved ? 2 : 1, other = interleaved ? 1 : half;
  for (size_t t = 0; t < tokens; t++) {
    const float *cosine = cosines + t % length * half, *sine = sines + t % length * half;
    for (size_t h = 0; h < heads; h++) {
      float *head = x + t * pitch + h * head_pitch;
      for (size_t i = 0; i < half; i++) {
        float a = head[i * step], b = head[i * step + other];
        head[i * step] = a * cosine[i] - b * (turn * sine[i]);
        head[i * step + other] = b * cosine[i] + a * (turn * sine[i]);
      }
    }
  }
}
CK_VARIANTS(void, ck_rotate,
       (float *x, size_t pitch, size_t tokens, size_t heads, size_t head_pitch, size_t length, const float *cosines,
        const float *sines, size_t half, int interleaved, int inverse),
       (x, pitch, tokens, heads, head_pitch, length, cosines, sines, half, interleaved, inverse))

/* MARK: Sums */

CK_INLINE void ck_add_bias_loop(float *x, size_t pitch, size_t rows, size_t width, const float *bias) {
  for (size_t r = 0; r < rows; r++)
    for (size_t i = 0; i < width; i++) x[r * pitch + i] += bias[i];
}
CK_VARIANTS(void, ck_add_bias, (float *x, size_t pitch, size_t rows, size_t width, const float *bias),
       (x, pitch, rows, width, bias))

CK_INLINE void ck_column_sums_loop(const float *x, size_t pitch, size_t rows, size_t width, float *sums) {
  for (size_t r = 0; r < rows; r++)
    for (size_t i = 0; i < width; i++) sums[i] += x[r * pitch + i];
}
CK_VARIANTS(void, ck_column_sums, (const float *x, size_t pitch, size_t rows, size_t width, float *sums),
       (x, pitch, rows, width, sums))

CK_INLINE double ck_sum_of_squares_loop(const float *x, size_t count) {
  double total[lane_count] = {0};
  size_t i = 0;
  /* The square of a float is exact in double: fused or not, the sums are the same. */
  for (; i + lane_count <= count; i += lane_count)
    for (int j = 0; j < lane_count; j++) total[j] += (double)x[i + j] * (double)x[i + j];
  for (int j = 0; i < count; i++, j++) total[j] += (double)x[i] * (double)x[i];
  return ((total[0] + total[1]) + (total[2] + total[3])) + ((total[4] + total[5]) + (total[6] + total[7]));
}
CK_VARIANTS(double, ck_sum_of_squares, (const float *x, size_t count), (x, count))

/* MARK: Loss and optimizer */

/* Turns a row into exp(row - maximum) and returns its sum; long rows are summed in double, block by block. */
CK_INLINE double exponentials(float *row, size_t width, float maximum) {
  enum { block = 2048 };
  double total = 0;
  for (size_t start = 0; start < width; start += block) {
    size_t i = start, end = width - start < block ? width : start + block;
    lanes partial = splat(0);
    for (; i + lane_count <= end; i += lane_count) {
      lanes e = exponential(load(row + i) - splat(maximum));
      store(row + i, e);
      partial += e;
    }
    if (i < end) {
      store_some(row + i, exponential(load_some(row + i, end - i, maximum) - splat(maximum)), end - i);
      partial += load_some(row + i, end - i, 0);
    }
    total += (double)sum(partial);
  }
  return total;
}

CK_INLINE float row_maximum(const float *row, size_t width) {
  lanes top = splat(-INFINITY);
  size_t i = 0;
  for (; i + lane_count <= width; i += lane_count) top = larger(top, load(row + i));
  if (i < width) top = larger(top, load_some(row + i, width - i, -INFINITY));
  return largest(top);
}

CK_INLINE double ck_cross_entropy_loop(float *logits, size_t rows, size_t width, const int32_t *labels, float scale) {
  double loss = 0;
  for (size_t r = 0; r < rows; r++, logits += width) {
    float maximum = row_maximum(logits, width);
    float target = logits[labels[r]];
    double total = exponentials(logits, width, maximum);
    loss += log(total) + (double)maximum - (double)target;
    float factor = (float)((double)scale / total);
    for (size_t i = 0; i < width; i++) logits[i] *= factor;
    logits[labels[r]] -= scale;
  }
  return loss;
}
CK_VARIANTS(double, ck_cross_entropy,
       (float *logits, size_t rows, size_t width, const int32_t *labels, float scale),
       (logits, rows, width, labels, scale))

CK_INLINE void adamw_lanes(float *parameters, const float *gradients, float *first, float *second, size_t count,
                           ck_adamw_constants c) {
  lanes g = load_some(gradients, count, 0) * splat(c.gradient_scale);
  lanes m = load_some(first, count, 0) * splat(c.beta1) + g * splat(1 - c.beta1);
  lanes v = load_some(second, count, 0) * splat(c.beta2) + g * g * splat(1 - c.beta2);
  lanes p = load_some(parameters, count, 0) * splat(c.decay);
  lanes divisor = __builtin_elementwise_sqrt(v) * splat(c.correction) + splat(c.epsilon);
  store_some(first, m, count);
  store_some(second, v, count);
  store_some(parameters, p - splat(c.step) * m / divisor, count);
}

CK_INLINE void ck_adamw_loop(float *parameters, const float *gradients, float *first, float *second, size_t count,
                             ck_adamw_constants c) {
  size_t i = 0;
  for (; i + lane_count <= count; i += lane_count)
    adamw_lanes(parameters + i, gradients + i, first + i, second + i, lane_count, c);
  if (i < count) adamw_lanes(parameters + i, gradients + i, first + i, second + i, count - i, c);
}
CK_VARIANTS(void, ck_adamw,
       (float *parameters, const float *gradients, float *first, float *second, size_t count, ck_adamw_constants c),
       (parameters, gradients, first, second, count, c))

/* MARK: Causal softmax */

CK_INLINE void ck_causal_softmax_loop(float *scores, size_t pitch, size_t rows, size_t first, size_t columns,
                                      float scale, float *log_sum, size_t log_pitch) {
  for (size_t r = 0; r < rows; r++) {
    float *row = scores + r * pitch;
    size_t visible = first + r + 1;
    float maximum = row_maximum(row, visible);
    lanes total = splat(0);
    size_t i = 0;
    for (; i + lane_count <= visible; i += lane_count) {
      lanes e = exponential((load(row + i) - splat(maximum)) * splat(scale));
      store(row + i, e);
      total += e;
    }
    if (i < visible) {
      size_t rest = visible - i;
      lanes e = exponential((load_some(row + i, rest, maximum) - splat(maximum)) * splat(scale));
      store_some(row + i, e, rest);
      total += load_some(row + i, rest, 0);
    }
    float all = sum(total);
    log_sum[r * log_pitch] = scale * maximum + logf(all);
    float factor = 1 / all;
    for (i = 0; i < visible; i++) row[i] *= factor;
    for (; i < columns; i++) row[i] = 0;
  }
}
CK_VARIANTS(void, ck_causal_softmax,
       (float *scores, size_t pitch, size_t rows, size_t first, size_t columns, float scale, float *log_sum,
        size_t log_pitch),
       (scores, pitch, rows, first, columns, scale, log_sum, log_pitch))

CK_INLINE void softmax_gradient_lanes(float *scores, float *dp, size_t count, float scale, float log_sum, float delta) {
  lanes p = exponential(load_some(scores, count, 0) * splat(scale) - splat(log_sum));
  store_some(scores, p, count);
  store_some(dp, p * (load_some(dp, count, 0) - splat(delta)) * splat(scale), count);
}

CK_INLINE void ck_causal_softmax_gradient_loop(float *scores, float *dp, size_t pitch, size_t rows, size_t first,
                                               size_t columns, float scale, const float *log_sum, size_t log_pitch,
                                               const float *out, size_t out_pitch, const float *dout, size_t dout_pitch,
                                               size_t value_width) {
  for (size_t r = 0; r < rows; r++) {
    float *row = scores + r * pitch, *gradient = dp + r * pitch;
    size_t visible = first + r + 1, i = 0;
    float delta = dot(out + r * out_pitch, dout + r * dout_pitch, value_width);
    float offset = log_sum[r * log_pitch];
    for (; i + lane_count <= visible; i += lane_count)
      softmax_gradient_lanes(row + i, gradient + i, lane_count, scale, offset, delta);
    if (i < visible) softmax_gradient_lanes(row + i, gradient + i, visible - i, scale, offset, delta);
    for (i = visible; i < columns; i++) row[i] = gradient[i] = 0;
  }
}
CK_VARIANTS(void, ck_causal_softmax_gradient,
       (float *scores, float *dp, size_t pitch, size_t rows, size_t first, size_t columns, float scale,
        const float *log_sum, size_t log_pitch, const float *out, size_t out_pitch, const float *dout,
        size_t dout_pitch, size_t value_width),
       (scores, dp, pitch, rows, first, columns, scale, log_sum, log_pitch, out, out_pitch, dout, dout_pitch,
        value_width))
