#include "CKernels.h"

#include <string.h>

/* As in fp8.c: one loop without branches, compiled as it is and for AVX2, with the same bits from both. */

static inline __attribute__((always_inline)) void encode_all(const float *x, uint16_t *codes, size_t count) {
  for (size_t i = 0; i < count; i++) {
    uint32_t bits;
    memcpy(&bits, x + i, 4);
    /* Rounding could carry a NaN's payload into infinity, so one of its bits is set instead. */
    uint32_t quiet = bits >> 16 | 0x40;
    uint32_t rounded = (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
    codes[i] = (uint16_t)((bits & 0x7fffffff) > 0x7f800000 ? quiet : rounded);
  }
}

static inline __attribute__((always_inline)) void decode_all(const uint16_t *codes, float *x, size_t count) {
  for (size_t i = 0; i < count; i++) {
    uint32_t bits = (uint32_t)codes[i] << 16;
    memcpy(x + i, &bits, 4);
  }
}

#if defined(__x86_64__)
__attribute__((target("avx2"))) static void encode_wide(const float *x, uint16_t *codes, size_t count) {
  encode_all(x, codes, count);
}
__attribute__((target("avx2"))) static void decode_wide(const uint16_t *codes, float *x, size_t count) {
  decode_all(codes, x, count);
}
#endif

void ck_bf16_encode(const float *x, uint16_t *codes, size_t count) {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx2")) return encode_wide(x, codes, count);
#endif
  encode_all(x, codes, count);
}

void ck_bf16_decode(const uint16_t *codes, float *x, size_t count) {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx2")) return decode_wide(codes, x, count);
#endif
  decode_all(codes, x, count);
}
