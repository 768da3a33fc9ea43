#ifndef REHEARSAL_CKERNELS_LANES_H
#define REHEARSAL_CKERNELS_LANES_H

/* Eight float lanes in the compiler's vector types: one source for every variant of a kernel. */

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "variants.h"

/* Every function that passes lanes is inlined: no call depends on how they are passed. */
#pragma clang diagnostic ignored "-Wpsabi"

typedef float lanes __attribute__((vector_size(32)));
typedef int32_t lane_bits __attribute__((vector_size(32)));

enum { lane_count = 8 };

CK_INLINE lanes splat(float x) { return (lanes){x, x, x, x, x, x, x, x}; }

CK_INLINE lanes load(const float *p) {
  lanes x;
  memcpy(&x, p, sizeof x);
  return x;
}

CK_INLINE void store(float *p, lanes x) { memcpy(p, &x, sizeof x); }

/* The first `count` elements, `rest` in the other lanes. */
CK_INLINE lanes load_some(const float *p, size_t count, float rest) {
  lanes x = splat(rest);
  memcpy(&x, p, count * sizeof(float));
  return x;
}

CK_INLINE void store_some(float *p, lanes x, size_t count) { memcpy(p, &x, count * sizeof(float)); }

CK_INLINE lanes choose(lane_bits mask, lanes a, lanes b) {
  return (lanes)(((lane_bits)a & mask) | ((lane_bits)b & ~mask));
}

/* The larger one; b where either is not a number. */
CK_INLINE lanes larger(lanes a, lanes b) { return choose(a > b, a, b); }

CK_INLINE float sum(lanes x) { return ((x[0] + x[4]) + (x[2] + x[6])) + ((x[1] + x[5]) + (x[3] + x[7])); }

CK_INLINE float largest(lanes x) {
  float result = x[0];
  for (int i = 1; i < lane_count; i++) result = x[i] > result ? x[i] : result;
  return result;
}

/* exp within 2 units in the last place, for results that are normal numbers; smaller ones are zero, not a number stays so.
   Range reduction and polynomial: Cephes' expf. */
CK_INLINE lanes exponential(lanes x) {
  lane_bits vanishes = x < splat(-87.33654f);
  x = choose(x > splat(88.02f), splat(88.02f), x);
  const lanes magic = splat(12582912.0f); /* 1.5 * 2^23: adding it rounds to an integer in the low bits. */
  lanes shifted = x * splat(1.44269504088896341f) + magic;
  lanes n = shifted - magic;
  lane_bits exponent = ((lane_bits)shifted - (lane_bits)magic + 127) << 23;
  lanes r = x - n * splat(0.693359375f) - n * splat(-2.12194440e-4f);
  lanes p = splat(1.9875691500e-4f);
  p = p * r + splat(1.3981999507e-3f);
  p = p * r + splat(8.3334519073e-3f);
  p = p * r + splat(4.1665795894e-2f);
  p = p * r + splat(1.6666665459e-1f);
  p = p * r + splat(5.0000001201e-1f);
  p = p * (r * r) + r + splat(1.0f);
  return (lanes)((lane_bits)(p * (lanes)exponent) & ~vanishes);
}

#endif
