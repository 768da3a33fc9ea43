#ifndef REHEARSAL_CKERNELS_FP8_H
#define REHEARSAL_CKERNELS_FP8_H

#include <stddef.h>
#include <stdint.h>

/*
 * E4M3 numbers (bias 7, no infinities, largest 448, 0x7f and 0xff are not numbers) and their quantisation in tiles.
 *
 * A tile's largest magnitude is amax = max(|x|, 1e-4), its scale is amax / 448, all in float32; a code is x over the
 * scale, rounded to the nearest even and saturated. How x is brought over the scale differs between published kernels:
 */
typedef enum ck_fp8_scaling {
  CK_FP8_RECIPROCAL = 0,     /* x * (1 / scale): DeepGEMM */
  CK_FP8_DIVISION = 1,       /* x / scale: DeepSeek-V3's inference code */
  CK_FP8_MULTIPLICATION = 2, /* x * (448 / amax): DeepEP */
  CK_FP8_POWER_OF_TWO = 3,   /* scale rounded up to a power of two, then x * (1 / scale): UE8M0 */
} ck_fp8_scaling;

/* A tile with a NaN or an infinity has a scale that is none, so that nothing in it comes back finite. */

/* Codes of `count` numbers; saturating gives 448 beyond it (NVIDIA's satfinite), otherwise NaN (PyTorch). */
void ck_fp8_encode(const float *x, uint8_t *codes, size_t count, int saturates);

/* Values of `count` codes, times a scale. */
void ck_fp8_decode(const uint8_t *codes, float scale, float *x, size_t count);

/*
 * Tiles of `tile_rows` x `tile_columns` of x [rows, columns], the last ones ragged; scales [row tiles, column tiles].
 * Where `codes` is given it takes [rows, columns]; where `rounded` is given it takes code * scale in float32, and may
 * be x itself. Rows of codes and scales lie `codes_leading` and `scales_leading` elements apart. Each of the
 * outputs may be null.
 */
void ck_fp8_quantize(
  const float *x, size_t rows, size_t columns, size_t tile_rows, size_t tile_columns, int scaling,
  uint8_t *codes, size_t codes_leading, float *scales, size_t scales_leading, float *rounded);

/* Tiles of `tile_rows` x 1, scales [row tiles, columns]; otherwise as above. */
void ck_fp8_quantize_columns(
  const float *x, size_t rows, size_t columns, size_t tile_rows, int scaling,
  uint8_t *codes, float *scales, float *rounded);

#endif
