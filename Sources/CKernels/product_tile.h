#ifndef REHEARSAL_CKERNELS_PRODUCT_TILE_H
#define REHEARSAL_CKERNELS_PRODUCT_TILE_H

/* What the tiles of a product are given. */

#include <stddef.h>
#include <string.h>

#include "variants.h"

enum { tile_rows = 6 };

/* C[rows, columns] = or += scale * A[rows, depth] * panel, with a panel [depth, its width]. */
typedef struct {
  size_t depth;
  const float *a;
  size_t row_step;
  /* Only for tiles that pack: where the panel's rows lie. */
  const float *b;
  size_t b_step;
  float *panel;
  float *c;
  size_t c_step;
  int columns;
  float scale;
  int accumulate;
} tile;

/* Memory that is fetched little by little while tiles are multiplied: rows of some pieces of four lines. */
typedef struct {
  const float *at;
  size_t row_pieces;
  ptrdiff_t skip;
  size_t pieces, rows;
} walk;

enum { piece = 64 };

CK_INLINE walk walk_over(const float *at, size_t step, size_t rows, size_t columns) {
  size_t pieces = (columns + piece - 1) / piece;
  return (walk){at, pieces, (ptrdiff_t)step - (ptrdiff_t)(pieces * piece), pieces, pieces ? rows : 0};
}

CK_INLINE void fetch(walk *w) {
  if (w->rows == 0) return;
  for (int i = 0; i < piece; i += 16) __builtin_prefetch(w->at + i, 0, 2);
  w->at += piece;
  if (--w->pieces == 0) {
    w->pieces = w->row_pieces;
    w->at += w->skip;
    w->rows--;
  }
}

typedef void (*tile_function)(const tile *t, walk *ahead);

/* The tiles of one kind of processor: of A's rows and of packed ones, by rows and by vectors. */
typedef struct {
  size_t lanes, vectors;
  tile_function tiles[2][tile_rows][4];
  tile_function packing[2];
} kind;

#endif
