#include "turn.h"

#include "variants.h"

/* Blocks of 16 x 16: whole lines of both sides at once, for rows that lie a power of two apart share few places of the
   nearest cache, and half a line would be gone before its other half is wanted. */

typedef float eight __attribute__((vector_size(32), aligned(4), may_alias));
typedef float sixteen __attribute__((vector_size(64), aligned(4), may_alias));

/* Eight rows of eight, turned. */
CK_INLINE void turn_eight(const float *from, size_t from_step, float *to, size_t to_step, int accumulate) {
  eight r[8], s[8];
  for (int i = 0; i < 8; i++) r[i] = *(const eight *)(from + (size_t)i * from_step);
  for (int i = 0; i < 4; i++) {
    s[2 * i] = __builtin_shufflevector(r[2 * i], r[2 * i + 1], 0, 8, 1, 9, 4, 12, 5, 13);
    s[2 * i + 1] = __builtin_shufflevector(r[2 * i], r[2 * i + 1], 2, 10, 3, 11, 6, 14, 7, 15);
  }
  for (int half = 0; half < 2; half++) {
    eight *q = s + 4 * half, *t = r + 4 * half;
    t[0] = __builtin_shufflevector(q[0], q[2], 0, 1, 8, 9, 4, 5, 12, 13);
    t[1] = __builtin_shufflevector(q[0], q[2], 2, 3, 10, 11, 6, 7, 14, 15);
    t[2] = __builtin_shufflevector(q[1], q[3], 0, 1, 8, 9, 4, 5, 12, 13);
    t[3] = __builtin_shufflevector(q[1], q[3], 2, 3, 10, 11, 6, 7, 14, 15);
  }
  for (int i = 0; i < 4; i++) {
    s[i] = __builtin_shufflevector(r[i], r[i + 4], 0, 1, 2, 3, 8, 9, 10, 11);
    s[i + 4] = __builtin_shufflevector(r[i], r[i + 4], 4, 5, 6, 7, 12, 13, 14, 15);
  }
  for (int i = 0; i < 8; i++) {
    eight *place = (eight *)(to + (size_t)i * to_step);
    *place = accumulate ? *place + s[i] : s[i];
  }
}

CK_INLINE void turn_eights(const float *from, size_t from_step, float *to, size_t to_step, int accumulate) {
  for (size_t c = 0; c < 16; c += 8)
    for (size_t r = 0; r < 16; r += 8)
      turn_eight(from + r * from_step + c, from_step, to + c * to_step + r, to_step, accumulate);
}

/* Sixteen rows of sixteen, turned: single numbers, pairs, fours and eights change places. */
CK_INLINE CK_AVX512 void turn_sixteen(const float *from, size_t from_step, float *to, size_t to_step,
                                      int accumulate) {
  sixteen r[16], s[16];
#pragma clang loop unroll(full)
  for (int i = 0; i < 16; i++) r[i] = *(const sixteen *)(from + (size_t)i * from_step);
#pragma clang loop unroll(full)
  for (int i = 0; i < 16; i += 2) {
    s[i] = __builtin_shufflevector(r[i], r[i + 1], 0, 16, 1, 17, 4, 20, 5, 21, 8, 24, 9, 25, 12, 28, 13, 29);
    s[i + 1] = __builtin_shufflevector(r[i], r[i + 1], 2, 18, 3, 19, 6, 22, 7, 23, 10, 26, 11, 27, 14, 30, 15, 31);
  }
#pragma clang loop unroll(full)
  for (int i = 0; i < 16; i += 4)
#pragma clang loop unroll(full)
    for (int j = 0; j < 2; j++) {
      const sixteen a = s[i + j], b = s[i + j + 2];
      r[i + 2 * j] = __builtin_shufflevector(a, b, 0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29);
      r[i + 2 * j + 1] = __builtin_shufflevector(a, b, 2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31);
    }
#pragma clang loop unroll(full)
  for (int i = 0; i < 16; i += 8)
#pragma clang loop unroll(full)
    for (int j = 0; j < 4; j++) {
      const sixteen a = r[i + j], b = r[i + j + 4];
      s[i + j] = __builtin_shufflevector(a, b, 0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27);
      s[i + j + 4] = __builtin_shufflevector(a, b, 4, 5, 6, 7, 12, 13, 14, 15, 20, 21, 22, 23, 28, 29, 30, 31);
    }
#pragma clang loop unroll(full)
  for (int j = 0; j < 8; j++) {
    r[j] = __builtin_shufflevector(s[j], s[j + 8], 0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27);
    r[j + 8] = __builtin_shufflevector(s[j], s[j + 8], 4, 5, 6, 7, 12, 13, 14, 15, 20, 21, 22, 23, 28, 29, 30, 31);
  }
#pragma clang loop unroll(full)
  for (int i = 0; i < 16; i++) {
    sixteen *place = (sixteen *)(to + (size_t)i * to_step);
    *place = accumulate ? *place + r[i] : r[i];
  }
}

typedef void (*turn_function)(const float *from, size_t from_step, float *to, size_t to_step, int accumulate);

CK_INLINE void turn_all(const float *from, size_t from_step, size_t rows, size_t columns, float *to, size_t to_step,
                        int accumulate, turn_function turn) {
  const size_t whole_rows = rows - rows % 16, whole_columns = columns - columns % 16;
  if (from_step < to_step) {
    /* Sixteen rows of `to` after each other: as few pages at a time as can be. */
    for (size_t c = 0; c < whole_columns; c += 16)
      for (size_t r = 0; r < whole_rows; r += 16)
        turn(from + r * from_step + c, from_step, to + c * to_step + r, to_step, accumulate);
  } else {
    for (size_t r = 0; r < whole_rows; r += 16)
      for (size_t c = 0; c < whole_columns; c += 16) {
        const float *block = from + r * from_step + c;
        /* The rows after these, which are far away where `from` is not in a cache. */
        if (r + 32 <= rows)
          for (size_t i = 16; i < 32; i++) __builtin_prefetch(block + i * from_step, 0, 2);
        turn(block, from_step, to + c * to_step + r, to_step, accumulate);
      }
  }
  for (size_t r = 0; r < rows; r++)
    for (size_t c = r < whole_rows ? whole_columns : 0; c < columns; c++)
      to[c * to_step + r] = (accumulate ? to[c * to_step + r] : 0) + from[r * from_step + c];
}

#define TURN(name, target, turn)                                                                                 \
  target static void name(const float *from, size_t from_step, size_t rows, size_t columns, float *to,           \
                          size_t to_step, int accumulate) {                                                      \
    if (accumulate) turn_all(from, from_step, rows, columns, to, to_step, 1, turn);                              \
    else turn_all(from, from_step, rows, columns, to, to_step, 0, turn);                                         \
  }
#if defined(__x86_64__)
TURN(turn_avx512, CK_AVX512, turn_sixteen)
TURN(turn_avx2, CK_AVX2, turn_eights)
#endif
TURN(turn_plain, , turn_eights)

void ck_turn(const float *from, size_t from_step, size_t rows, size_t columns, float *to, size_t to_step,
             int accumulate) {
#if defined(__x86_64__)
  int level = ck_level();
  if (level == 2) return turn_avx512(from, from_step, rows, columns, to, to_step, accumulate);
  if (level == 1) return turn_avx2(from, from_step, rows, columns, to, to_step, accumulate);
#endif
  turn_plain(from, from_step, rows, columns, to, to_step, accumulate);
}
