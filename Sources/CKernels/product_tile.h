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
  const float *panel;
  float *c;
  size_t c_step;
  int columns;
  float scale;
  int accumulate;
  /* Writes past the caches, whole lines at a time. */
  int streams;
} tile;

/* Memory that is fetched little by little while tiles are multiplied: rows of some pieces of four lines. */
typedef struct {
  const float *at;
  size_t row_pieces;
  ptrdiff_t skip;
  size_t pieces, rows;
  /* Where rows of one piece each are packed in panels `panel_step` apart; null where lines only come nearer. */
  float *panels;
  size_t panel_step;
  /* From a row that is packed to one that comes nearer meanwhile: of the same rows, and of those after them. */
  ptrdiff_t lead, lead_after;
} walk;

enum { piece = 64, lead_rows = 24 };

CK_INLINE walk walk_over(const float *at, size_t step, size_t rows, size_t columns) {
  size_t pieces = (columns + piece - 1) / piece;
  return (walk){.at = at, .row_pieces = pieces, .skip = (ptrdiff_t)step - (ptrdiff_t)(pieces * piece),
                .pieces = pieces, .rows = pieces ? rows : 0};
}

/* The same over the rows of panels that are packed meanwhile, one piece wide. */
CK_INLINE walk packing_walk(const float *at, size_t step, size_t rows, float *panels, size_t panel_width) {
  walk w = walk_over(at, step, rows, piece);
  w.panels = panels;
  w.panel_step = rows * panel_width;
  w.lead = (ptrdiff_t)(lead_rows * step);
  w.lead_after = w.lead - (ptrdiff_t)(rows * step) + piece;
  return w;
}

CK_INLINE void fetch_lines(const float *at) {
  for (int i = 0; i < piece; i += 16) __builtin_prefetch(at + i, 0, 2);
}

CK_INLINE void fetch(walk *w) {
  if (w->rows == 0) return;
  fetch_lines(w->at);
  w->at += piece;
  if (--w->pieces == 0) {
    w->pieces = w->row_pieces;
    w->at += w->skip;
    w->rows--;
  }
}

typedef void (*tile_function)(const tile *t, walk *ahead);

/* The tiles of one kind of processor by rows and by vectors: of A's rows where a walk only brings lines nearer, of its
   rows, and of packed ones. */
typedef struct {
  size_t lanes, vectors;
  tile_function near_tiles[tile_rows][4], tiles[2][tile_rows][4];
  /* Packs what is left of a walk. */
  void (*pack)(walk *left);
} kind;

#endif
