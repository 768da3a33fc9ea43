#include "CKernels.h"
#include "variants.h"

#include <math.h>
#include <string.h>

CK_INLINE float from_bits(uint32_t bits) {
  float x;
  memcpy(&x, &bits, sizeof x);
  return x;
}

CK_INLINE uint32_t bits_of(float x) {
  uint32_t bits;
  memcpy(&bits, &x, sizeof bits);
  return bits;
}

/* Range reduction to +-ln(2)/2 and the polynomial of Cephes' expf. The power of two is applied in two halves, so that
   overflow gives infinity and tiny results denormal numbers, without a branch: every loop over it becomes lanes. */
CK_INLINE float exponential(float x) {
  x = x < -105.0f ? -105.0f : x;
  x = x > 90.0f ? 90.0f : x;
  const float magic = 12582912.0f; /* 1.5 * 2^23: adding it leaves the nearest integer in the low bits. */
  float shifted = x * 1.44269504088896341f + magic;
  float n = shifted - magic;
  float r = x - n * 0.693359375f;
  r = r - n * -2.12194440e-4f;
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * (r * r) + r + 1.0f;
  int32_t power = (int32_t)(bits_of(shifted) - bits_of(magic));
  int32_t half = power >> 1;
  float low = from_bits((uint32_t)(half + 127) << 23);
  float high = from_bits((uint32_t)(power - half + 127) << 23);
  return p * low * high;
}

/* From exp(-|x|), which cannot overflow: exact to the last places on both sides. */
CK_INLINE float sigmoid(float x) {
  float e = exponential(-fabsf(x));
  float d = 1.0f / (1.0f + e);
  return x >= 0 ? d : e * d;
}

CK_INLINE void ck_sigmoid_loop(const float *x, float *y, size_t count) {
  for (size_t i = 0; i < count; i++) y[i] = sigmoid(x[i]);
}
CK_VARIANTS(void, ck_sigmoid, (const float *x, float *y, size_t count), (x, y, count))

CK_INLINE void ck_exp_loop(const float *x, float *y, size_t count) {
  for (size_t i = 0; i < count; i++) y[i] = exponential(x[i]);
}
CK_VARIANTS(void, ck_exp, (const float *x, float *y, size_t count), (x, y, count))

CK_INLINE void ck_swiglu_loop(const float *gate, const float *up, float *h, size_t count) {
  for (size_t i = 0; i < count; i++) h[i] = gate[i] * sigmoid(gate[i]) * up[i];
}
CK_VARIANTS(void, ck_swiglu, (const float *gate, const float *up, float *h, size_t count), (gate, up, h, count))

CK_INLINE void ck_swiglu_gradient_loop(const float *gate, const float *up, const float *dh, float *dgate, float *dup,
                                       size_t count) {
  for (size_t i = 0; i < count; i++) {
    float g = gate[i], u = up[i], d = dh[i];
    float s = sigmoid(g);
    dgate[i] = d * u * (s * (1.0f + g * (1.0f - s)));
    dup[i] = d * (g * s);
  }
}
CK_VARIANTS(void, ck_swiglu_gradient,
            (const float *gate, const float *up, const float *dh, float *dgate, float *dup, size_t count),
            (gate, up, dh, dgate, dup, count))

CK_INLINE void ck_axpy_loop(float factor, const float *x, float *y, size_t count) {
  for (size_t i = 0; i < count; i++) y[i] += factor * x[i];
}
CK_VARIANTS(void, ck_axpy, (float factor, const float *x, float *y, size_t count), (factor, x, y, count))

CK_INLINE void ck_scale_loop(float factor, const float *x, float *y, size_t count) {
  for (size_t i = 0; i < count; i++) y[i] = factor * x[i];
}
CK_VARIANTS(void, ck_scale, (float factor, const float *x, float *y, size_t count), (factor, x, y, count))

CK_INLINE float ck_dot_loop(const float *a, const float *b, size_t count) {
  float parts[16] = {0};
  size_t i = 0;
  for (; i + 16 <= count; i += 16)
    for (int j = 0; j < 16; j++) parts[j] += a[i + j] * b[i + j];
  for (int j = 0; i < count; i++, j++) parts[j] += a[i] * b[i];
  for (int width = 8; width > 0; width /= 2)
    for (int j = 0; j < width; j++) parts[j] += parts[j + width];
  return parts[0];
}
CK_VARIANTS(float, ck_dot, (const float *a, const float *b, size_t count), (a, b, count))

void ck_gather_rows(const float *x, const int32_t *indices, size_t rows, size_t width, float *y) {
  for (size_t r = 0; r < rows; r++) memcpy(y + r * width, x + (size_t)indices[r] * width, width * sizeof(float));
}

CK_INLINE void ck_sum_rows_loop(const float *x, const int32_t *starts, const int32_t *indices, const float *factors,
                                size_t rows, size_t width, int accumulate, float *y) {
  for (size_t r = 0; r < rows; r++) {
    float *row = y + r * width;
    if (!accumulate) memset(row, 0, width * sizeof(float));
    for (int32_t k = starts[r]; k < starts[r + 1]; k++) {
      const float factor = factors ? factors[k] : 1.0f;
      const float *term = x + (size_t)indices[k] * width;
      for (size_t i = 0; i < width; i++) row[i] += factor * term[i];
    }
  }
}
CK_VARIANTS(void, ck_sum_rows,
            (const float *x, const int32_t *starts, const int32_t *indices, const float *factors, size_t rows,
             size_t width, int accumulate, float *y),
            (x, starts, indices, factors, rows, width, accumulate, y))

CK_INLINE void ck_scatter_add_rows_loop(const float *x, const int32_t *indices, const float *factors, size_t rows,
                                        size_t width, float *y) {
  for (size_t r = 0; r < rows; r++) {
    const float factor = factors ? factors[r] : 1.0f;
    const float *term = x + r * width;
    float *row = y + (size_t)indices[r] * width;
    for (size_t i = 0; i < width; i++) row[i] += factor * term[i];
  }
}
CK_VARIANTS(void, ck_scatter_add_rows,
            (const float *x, const int32_t *indices, const float *factors, size_t rows, size_t width, float *y),
            (x, indices, factors, rows, width, y))
