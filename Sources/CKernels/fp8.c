#include "CKernels.h"

#include <string.h>

/*
 * Each loop is written once, without branches, and compiled twice: as it is, and for AVX2, where the compiler makes
 * vectors of it. Both do the same operations on each element, so both give the same bits. FMA is left out on purpose:
 * a contraction would round differently.
 */
#define EACH static inline __attribute__((always_inline))
#if defined(__x86_64__)
#define WIDE __attribute__((target("avx2")))
#define CHOOSE(name, ...) \
  do { \
    if (__builtin_cpu_supports("avx2")) \
      name##_wide(__VA_ARGS__); \
    else \
      name##_plain(__VA_ARGS__); \
  } while (0)
#else
#define WIDE
#define CHOOSE(name, ...) name##_plain(__VA_ARGS__)
#endif

static const uint32_t largest = 0x43e00000;       /* 448 */
static const uint32_t infinity = 0x7f800000;
static const uint32_t smallest_normal = 121u << 23; /* 2^-6 */
static const uint32_t subnormal_magic = 141u << 23; /* 2^14, whose last place is the smallest subnormal, 2^-9 */

EACH uint32_t bits_of(float x) {
  uint32_t bits;
  memcpy(&bits, &x, 4);
  return bits;
}

EACH float float_of(uint32_t bits) {
  float x;
  memcpy(&x, &bits, 4);
  return x;
}

/* The code of a magnitude at most 480, given as bits. */
EACH uint32_t magnitude_code(uint32_t magnitude) {
  const uint32_t rebias = (uint32_t)(7 - 127) << 23;
  uint32_t normal = (magnitude + rebias + 0x7ffff + ((magnitude >> 20) & 1)) >> 20;
  uint32_t subnormal = bits_of(float_of(magnitude) + float_of(subnormal_magic)) - subnormal_magic;
  return magnitude < smallest_normal ? subnormal : normal;
}

EACH uint8_t saturated_code(float x) {
  uint32_t bits = bits_of(x), magnitude = bits & 0x7fffffff;
  uint32_t code = magnitude_code(magnitude > largest ? largest : magnitude);
  code = magnitude > infinity ? 0x7f : code;
  return (uint8_t)(code | (bits >> 24 & 0x80));
}

EACH uint8_t unsaturated_code(float x) {
  uint32_t bits = bits_of(x), magnitude = bits & 0x7fffffff;
  const uint32_t beyond = 0x43f00000; /* 480; what lies between 464 and it rounds to the code of NaN */
  uint32_t code = magnitude_code(magnitude > beyond ? beyond : magnitude);
  code = magnitude >= beyond ? 0x7f : code;
  return (uint8_t)(code | (bits >> 24 & 0x80));
}

/* The value of the saturated code of x, without making the code. */
EACH float rounded_value(float x) {
  uint32_t bits = bits_of(x), magnitude = bits & 0x7fffffff;
  uint32_t kept = magnitude > largest ? largest : magnitude;
  uint32_t normal = (kept + 0x7ffff + ((kept >> 20) & 1)) & ~(uint32_t)0xfffff;
  float near = float_of(kept) + float_of(subnormal_magic);
  uint32_t subnormal = bits_of(near - float_of(subnormal_magic));
  uint32_t value = kept < smallest_normal ? subnormal : normal;
  value = magnitude > infinity ? magnitude : value;
  return float_of(value | (bits & 0x80000000));
}

/* A tile's scale and the factor (or the divisor) of its elements, from the bits of its largest magnitude. */
struct tile_scale {
  float scale, factor;
};

EACH struct tile_scale scale_of(uint32_t amax_bits, int scaling) {
  const uint32_t least = bits_of(1e-4f);
  /* As bits, magnitudes compare as numbers do, and NaN is the largest. */
  float amax = float_of(amax_bits < least ? least : amax_bits);
  struct tile_scale result;
  result.scale = amax / 448.0f;
  switch (scaling) {
  case CK_FP8_DIVISION: result.factor = result.scale; break;
  case CK_FP8_MULTIPLICATION: result.factor = 448.0f / amax; break;
  case CK_FP8_POWER_OF_TWO:
    if (amax_bits < infinity) {
      uint32_t bits = bits_of(result.scale);
      result.scale = float_of(((bits >> 23) + ((bits & 0x7fffff) != 0)) << 23);
    } else {
      result.scale = float_of(0x7fc00000); /* the one value of UE8M0 that is no power of two */
    }
    result.factor = 1.0f / result.scale;
    break;
  default: result.factor = 1.0f / result.scale;
  }
  return result;
}

EACH uint32_t largest_magnitude(const float *x, size_t count, uint32_t amax) {
  for (size_t i = 0; i < count; i++) {
    uint32_t magnitude = bits_of(x[i]) & 0x7fffffff;
    amax = magnitude > amax ? magnitude : amax;
  }
  return amax;
}

EACH void encode_run(const float *x, size_t count, struct tile_scale tile, int divides, uint8_t *codes) {
  if (divides) {
    for (size_t i = 0; i < count; i++) codes[i] = saturated_code(x[i] / tile.factor);
  } else {
    for (size_t i = 0; i < count; i++) codes[i] = saturated_code(x[i] * tile.factor);
  }
}

EACH void round_run(const float *x, size_t count, struct tile_scale tile, int divides, float *rounded) {
  if (divides) {
    for (size_t i = 0; i < count; i++) rounded[i] = rounded_value(x[i] / tile.factor) * tile.scale;
  } else {
    for (size_t i = 0; i < count; i++) rounded[i] = rounded_value(x[i] * tile.factor) * tile.scale;
  }
}

EACH void encode_all(const float *x, uint8_t *codes, size_t count, int saturates) {
  if (saturates) {
    for (size_t i = 0; i < count; i++) codes[i] = saturated_code(x[i]);
  } else {
    for (size_t i = 0; i < count; i++) codes[i] = unsaturated_code(x[i]);
  }
}

EACH void decode_all(const uint8_t *codes, float scale, float *x, size_t count) {
  for (size_t i = 0; i < count; i++) {
    uint32_t code = codes[i], magnitude = code & 0x7f;
    /* Eight exponents lie between the subnormals and float32's, so both kinds become numbers it holds as normal. */
    float subnormal = (float)(int32_t)magnitude * 0x1p-9f;
    float normal = float_of((magnitude << 20) + (120u << 23));
    uint32_t value = bits_of(magnitude < 8 ? subnormal : normal);
    value = magnitude == 0x7f ? 0x7fc00000 : value;
    x[i] = float_of(value | (code & 0x80) << 24) * scale;
  }
}

EACH void quantize_tiles(
  const float *x, size_t rows, size_t columns, size_t tile_rows, size_t tile_columns, int scaling,
  uint8_t *codes, size_t codes_leading, float *scales, size_t scales_leading, float *rounded) {
  const int divides = scaling == CK_FP8_DIVISION;
  for (size_t row = 0; row < rows; row += tile_rows) {
    const size_t height = rows - row < tile_rows ? rows - row : tile_rows;
    for (size_t column = 0; column < columns; column += tile_columns) {
      const size_t width = columns - column < tile_columns ? columns - column : tile_columns;
      uint32_t amax = 0;
      for (size_t i = row; i < row + height; i++)
        amax = largest_magnitude(x + i * columns + column, width, amax);
      const struct tile_scale tile = scale_of(amax, scaling);
      if (scales) scales[row / tile_rows * scales_leading + column / tile_columns] = tile.scale;
      for (size_t i = row; i < row + height; i++) {
        const float *run = x + i * columns + column;
        if (codes) encode_run(run, width, tile, divides, codes + i * codes_leading + column);
        if (rounded) round_run(run, width, tile, divides, rounded + i * columns + column);
      }
    }
  }
}

/* Columns are taken a strip at a time, so that a strip's factors stay at hand while its rows pass. */
enum { strip = 64 };

EACH void quantize_columns(
  const float *x, size_t rows, size_t columns, size_t tile_rows, int scaling,
  uint8_t *codes, float *scales, float *rounded) {
  const int divides = scaling == CK_FP8_DIVISION;
  for (size_t row = 0; row < rows; row += tile_rows) {
    const size_t height = rows - row < tile_rows ? rows - row : tile_rows;
    for (size_t column = 0; column < columns; column += strip) {
      const size_t width = columns - column < strip ? columns - column : strip;
      uint32_t amax[strip] = {0};
      float scale[strip], factor[strip];
      for (size_t i = row; i < row + height; i++) {
        const float *run = x + i * columns + column;
        for (size_t j = 0; j < width; j++) {
          uint32_t magnitude = bits_of(run[j]) & 0x7fffffff;
          amax[j] = magnitude > amax[j] ? magnitude : amax[j];
        }
      }
      for (size_t j = 0; j < width; j++) {
        const struct tile_scale tile = scale_of(amax[j], scaling);
        scale[j] = tile.scale;
        factor[j] = tile.factor;
      }
      if (scales) memcpy(scales + row / tile_rows * columns + column, scale, width * sizeof(float));
      for (size_t i = row; i < row + height; i++) {
        const float *run = x + i * columns + column;
        float over[strip];
        if (divides) {
          for (size_t j = 0; j < width; j++) over[j] = run[j] / factor[j];
        } else {
          for (size_t j = 0; j < width; j++) over[j] = run[j] * factor[j];
        }
        if (codes)
          for (size_t j = 0; j < width; j++) codes[i * columns + column + j] = saturated_code(over[j]);
        if (rounded)
          for (size_t j = 0; j < width; j++)
            rounded[i * columns + column + j] = rounded_value(over[j]) * scale[j];
      }
    }
  }
}

/* The two compilations of each, and the choice between them. */

static void encode_plain(const float *x, uint8_t *codes, size_t count, int saturates) {
  encode_all(x, codes, count, saturates);
}
WIDE static void encode_wide(const float *x, uint8_t *codes, size_t count, int saturates) {
  encode_all(x, codes, count, saturates);
}
void ck_fp8_encode(const float *x, uint8_t *codes, size_t count, int saturates) {
  CHOOSE(encode, x, codes, count, saturates);
}

static void decode_plain(const uint8_t *codes, float scale, float *x, size_t count) {
  decode_all(codes, scale, x, count);
}
WIDE static void decode_wide(const uint8_t *codes, float scale, float *x, size_t count) {
  decode_all(codes, scale, x, count);
}
void ck_fp8_decode(const uint8_t *codes, float scale, float *x, size_t count) {
  CHOOSE(decode, codes, scale, x, count);
}

static void tiles_plain(
  const float *x, size_t rows, size_t columns, size_t tile_rows, size_t tile_columns, int scaling,
  uint8_t *codes, size_t codes_leading, float *scales, size_t scales_leading, float *rounded) {
  quantize_tiles(
    x, rows, columns, tile_rows, tile_columns, scaling, codes, codes_leading, scales, scales_leading, rounded);
}
WIDE static void tiles_wide(
  const float *x, size_t rows, size_t columns, size_t tile_rows, size_t tile_columns, int scaling,
  uint8_t *codes, size_t codes_leading, float *scales, size_t scales_leading, float *rounded) {
  quantize_tiles(
    x, rows, columns, tile_rows, tile_columns, scaling, codes, codes_leading, scales, scales_leading, rounded);
}
void ck_fp8_quantize(
  const float *x, size_t rows, size_t columns, size_t tile_rows, size_t tile_columns, int scaling,
  uint8_t *codes, size_t codes_leading, float *scales, size_t scales_leading, float *rounded) {
  CHOOSE(
    tiles, x, rows, columns, tile_rows, tile_columns, scaling, codes, codes_leading, scales, scales_leading,
    rounded);
}

static void columns_plain(
  const float *x, size_t rows, size_t columns, size_t tile_rows, int scaling,
  uint8_t *codes, float *scales, float *rounded) {
  quantize_columns(x, rows, columns, tile_rows, scaling, codes, scales, rounded);
}
WIDE static void columns_wide(
  const float *x, size_t rows, size_t columns, size_t tile_rows, int scaling,
  uint8_t *codes, float *scales, float *rounded) {
  quantize_columns(x, rows, columns, tile_rows, scaling, codes, scales, rounded);
}
void ck_fp8_quantize_columns(
  const float *x, size_t rows, size_t columns, size_t tile_rows, int scaling,
  uint8_t *codes, float *scales, float *rounded) {
  CHOOSE(columns, x, rows, columns, tile_rows, scaling, codes, scales, rounded);
}
