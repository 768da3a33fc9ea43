#include "CKernels.h"
#include "turn.h"
#include "variants.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* Matrix products for shapes that a library serves badly: few rows against large weights that are used once.

   Weights are never repacked where that costs as much as the product: in y = x W^T the rows of W are read as they lie
   in memory, one factor at a time, against panels of x^T, and the transposed result is turned at the end. Source of the
   scheme of panels and tiles: Goto and van de Geijn, Anatomy of High-Performance Matrix Multiplication (2008). */

#include "product_tile.h"

#if defined(__x86_64__)
#define LANES 16
#define VECTORS 4
#define TARGET __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")))
#define NAME(x) x##_avx512
#include "product_tile.inc"

#define LANES 8
#define VECTORS 2
#define TARGET __attribute__((target("avx2,fma")))
#define NAME(x) x##_avx2
#include "product_tile.inc"
#endif

#define LANES 4
#define VECTORS 2
#define TARGET
#define NAME(x) x##_plain
#include "product_tile.inc"

/* What the processor at hand multiplies with. */
CK_INLINE const kind *chosen(void) {
#if defined(__x86_64__)
  int level = ck_level();
  if (level == 2) return &kind_avx512;
  if (level == 1) return &kind_avx2;
#endif
  return &kind_plain;
}

/* How much of the depth is packed at a time: panels that the second nearest cache holds. It is the same for all shapes
   and parts of shapes, so that sums do not depend on how a product is shared. */
enum { depth_block = 512 };

CK_INLINE size_t least(size_t a, size_t b) { return a < b ? a : b; }
CK_INLINE size_t rounded(size_t x, size_t unit) { return (x + unit - 1) / unit * unit; }

/* Memory that a thread keeps for its products; it grows with the largest. */
static _Thread_local float *workspace;
static _Thread_local size_t workspace_count;

static float *reserved(size_t count) {
  enum { page = 1 << 21 };
  if (count > workspace_count) {
    free(workspace);
    const size_t bytes = rounded(count * sizeof(float), page);
    workspace_count = bytes / sizeof(float);
    workspace = aligned_alloc(page, bytes);
#if defined(MADV_HUGEPAGE)
    /* Tiles walk through more small pages than a processor remembers. */
    if (workspace) madvise(workspace, bytes, MADV_HUGEPAGE);
#endif
  }
  return workspace;
}

/* Columns of a panel where `columns` are left. */
CK_INLINE size_t panel_width(const kind *kind, size_t columns) {
  return least(rounded(columns, kind->lanes), kind->vectors * kind->lanes);
}

/* Panels of B, [depth, columns]: one after the other, each [depth, its width], zeros where B ends.
   is_turned: B lies in memory as [columns, depth]. */
static void pack_panels(const kind *kind, const float *b, size_t b_step, int is_turned, size_t depth, size_t columns,
                        float *panels) {
  for (size_t first = 0; first < columns;) {
    size_t width = panel_width(kind, columns - first);
    size_t there = least(width, columns - first);
    if (there < width) memset(panels, 0, depth * width * sizeof(float));
    if (is_turned) {
      ck_turn(b + first * b_step, b_step, there, depth, panels, width, 0);
    } else {
      for (size_t k = 0; k < depth; k++)
        memcpy(panels + k * width, b + k * b_step + first, there * sizeof(float));
    }
    panels += depth * width;
    first += there;
  }
}

/* Tiles of A^T, where A^T lies in memory as [depth, rows]: each [depth, tile_rows]. */
static void pack_tiles(const float *a, size_t a_step, size_t depth, size_t rows, float *tiles) {
  size_t whole = rows / tile_rows;
  for (size_t k = 0; k < depth; k++) {
    const float *from = a + k * a_step;
    float *to = tiles + k * tile_rows;
    /* A row is short: the ones after it are asked for early. */
    if (k + 4 < depth)
      for (size_t i = 0; i < rows; i += 16) __builtin_prefetch(from + 4 * a_step + i, 0, 3);
    for (size_t i = 0; i < whole; i++, from += tile_rows, to += depth * tile_rows)
      memcpy(to, from, tile_rows * sizeof(float));
    for (size_t r = 0; r < rows - whole * tile_rows; r++) to[r] = from[r];
  }
}

/* A share of a block of C that will be written soon, [rows, width], of which columns `done` and up are computed now:
   its lines come nearer meanwhile. */
CK_INLINE void will_write(const float *c, size_t c_step, size_t rows, size_t done, size_t width, size_t there) {
  const size_t first = done * rows / width, last = (done + tile_rows) * rows / width;
  for (size_t r = first; r < last; r++)
    for (size_t i = 0; i < least(width, there); i += 16) __builtin_prefetch(c + r * c_step + i, 1, 2);
}

/* C = or += scale * A W^T, with A [rows, depth] and W [columns, depth] both as they are: (W A^T)^T with panels of A^T,
   so that W is read once, as it lies. The sums of all blocks of the depth stay turned until they are complete: a tile
   adds to one place there, where in C it would touch a line of every row. */
static void product_of_rows(const kind *kind, size_t rows, size_t columns, size_t depth, float scale, const float *a,
                            size_t a_step, const float *w, size_t w_step, float *c, size_t c_step, int accumulate) {
  enum { most_rows = 256, most_columns = 8192, turn_block = 96 };
  const size_t padded = rounded(least(rows, most_rows), kind->lanes);
  float *panels = reserved(padded * (least(depth, depth_block) + least(columns, most_columns)));
  float *turned = panels + padded * least(depth, depth_block);
  for (size_t m = 0; m < rows; m += most_rows)
    for (size_t first = 0; first < columns; first += most_columns) {
      const size_t here = least(rows - m, most_rows), width = rounded(here, kind->lanes);
      const size_t outputs = least(columns - first, most_columns);
      for (size_t k = 0; k < depth; k += depth_block) {
        const size_t length = least(depth - k, depth_block);
        const int is_last = k + length == depth;
        pack_panels(kind, a + m * a_step + k, a_step, 1, length, here, panels);
        for (size_t r = 0; r < outputs; r += tile_rows) {
          const size_t tall = least(outputs - r, tile_rows);
          const float *weights = w + (first + r) * w_step + k;
          const size_t begin = r / turn_block * turn_block, done = r + tall;
          float *block = c + m * c_step + first + begin;
          if (is_last) will_write(block, c_step, here, r % turn_block, turn_block, outputs - begin);
          /* The rows after these come nearer meanwhile. */
          walk ahead = walk_over(weights + tall * w_step, w_step, least(outputs - r - tall, tile_rows), length);
          tile t = {.depth = length, .a = weights, .row_step = w_step, .panel = panels, .c_step = width,
                    .scale = scale, .accumulate = k > 0};
          for (size_t p = 0; p < here; p += (size_t)t.columns) {
            t.columns = (int)panel_width(kind, here - p);
            t.c = turned + r * width + p;
            kind->near_tiles[tall - 1][(size_t)t.columns / kind->lanes - 1](&t, &ahead);
            t.panel += length * (size_t)t.columns;
          }
          if (is_last && (done == outputs || done % turn_block == 0))
            ck_turn(turned + begin * width, width, done - begin, here, block, c_step, accumulate);
        }
      }
    }
}

/* C = or += scale * op(A) B with B [depth, columns] as it is, or turned where is_turned. While one group of B's columns
   is multiplied the next one is packed, so that nothing waits for memory. */
static void product_of_panels(const kind *kind, size_t rows, size_t columns, size_t depth, float scale, const float *a,
                              size_t a_step, int a_is_turned, const float *b, size_t b_step, int b_is_turned,
                              float *c, size_t c_step, int accumulate) {
  enum { group = piece, tiles_count = 65536 };
  float *panels = reserved(2 * depth_block * group + tiles_count + tile_rows * depth_block);
  float *others = panels + depth_block * group, *tiles = others + depth_block * group;
  /* What the caches cannot keep need not pass through them. */
  const int streams = !accumulate && depth <= depth_block && rows * columns >= 1 << 18 && (uintptr_t)c % 64 == 0 &&
                      c_step % 16 == 0;
  for (size_t k = 0; k < depth; k += depth_block) {
    const size_t length = least(depth - k, depth_block);
    const float *source = b + (b_is_turned ? k : k * b_step);
    /* As many rows of A as the second nearest cache holds beside the panels. */
    const size_t row_block = rounded(tiles_count / length, tile_rows);
    for (size_t m = 0; m < rows; m += row_block) {
      const size_t tall = least(rows - m, row_block);
      if (a_is_turned) pack_tiles(a + k * a_step + m, a_step, length, tall, tiles);
      const float *first = a_is_turned ? tiles : a + m * a_step + k;
      const size_t row_step = a_is_turned ? length : a_step;
      int is_packed = 0;
      for (size_t n = 0; n < columns; n += group) {
        const size_t wide = least(columns - n, group), left = least(columns - n - wide, group);
        const float *here = source + (b_is_turned ? n * b_step : n);
        if (!is_packed) pack_panels(kind, here, b_step, b_is_turned, length, wide, panels);
        is_packed = !b_is_turned && left == group;
        walk ahead = b_is_turned ? walk_over(here + group * b_step, b_step, left, length)
                     : is_packed ? packing_walk(here + group, b_step, length, others, kind->lanes * kind->vectors)
                                 : walk_over(here + group, b_step, left ? length : 0, left);
        const float *panel = panels;
        for (size_t p = 0; p < wide;) {
          const size_t width = panel_width(kind, wide - p), there = least(width, wide - p);
          for (size_t r = 0; r < tall; r += tile_rows) {
            const size_t height = least(tall - r, tile_rows);
            tile t = {length, first + r * row_step, row_step, panel, c + (m + r) * c_step + n + p, c_step,
                      (int)there, scale, accumulate || k > 0, streams};
            kind->tiles[a_is_turned][height - 1][width / kind->lanes - 1](&t, &ahead);
          }
          panel += length * width;
          p += there;
        }
        if (is_packed) {
          kind->pack(&ahead);
          float *const done = panels;
          panels = others;
          others = done;
        }
      }
    }
  }
#if defined(__x86_64__)
  if (streams) __builtin_ia32_sfence();
#endif
}

/* One product, on the calling thread. */
static void product(const kind *kind, size_t rows, size_t columns, size_t depth, float scale, const float *a,
                    int a_is_turned, size_t a_step, const float *b, int b_is_turned, size_t b_step, float *c,
                    size_t c_step, int accumulate) {
  if (b_is_turned && !a_is_turned)
    product_of_rows(kind, rows, columns, depth, scale, a, a_step, b, b_step, c, c_step, accumulate);
  else
    product_of_panels(kind, rows, columns, depth, scale, a, a_step, a_is_turned, b, b_step, b_is_turned, c, c_step,
                      accumulate);
}

/* A product in equal parts of its rows or its columns. */
typedef struct {
  const kind *kind;
  size_t rows, columns, depth, part;
  int by_rows;
  float scale;
  const float *a;
  int a_is_turned;
  size_t a_step;
  const float *b;
  int b_is_turned;
  size_t b_step;
  float *c;
  size_t c_step;
  int accumulate;
} shared_product;

static void product_part(void *context, size_t item) {
  const shared_product *s = context;
  size_t first = item * s->part;
  size_t rows = s->by_rows ? least(s->rows - first, s->part) : s->rows;
  size_t columns = s->by_rows ? s->columns : least(s->columns - first, s->part);
  size_t row = s->by_rows ? first : 0, column = s->by_rows ? 0 : first;
  product(s->kind, rows, columns, s->depth, s->scale, s->a + (s->a_is_turned ? row : row * s->a_step), s->a_is_turned,
          s->a_step, s->b + (s->b_is_turned ? column * s->b_step : column), s->b_is_turned, s->b_step,
          s->c + row * s->c_step + column, s->c_step, s->accumulate);
}

void ck_product(size_t rows, size_t columns, size_t depth, float scale, const float *a, int a_is_turned,
                size_t a_step, const float *b, int b_is_turned, size_t b_step, float *c, size_t c_step,
                int accumulate) {
  const kind *kind = chosen();
  if (ck_may_share() && rows * columns * depth >= 1 << 20) {
    int by_rows = rows > columns;
    size_t parts = 2 * (size_t)ck_threads();
    size_t part = rounded(((by_rows ? rows : columns) + parts - 1) / parts, 192);
    shared_product s = {kind, rows, columns, depth, part, by_rows, scale, a, a_is_turned, a_step,
                        b, b_is_turned, b_step, c, c_step, accumulate};
    ck_share(((by_rows ? rows : columns) + part - 1) / part, product_part, &s);
    return;
  }
  product(kind, rows, columns, depth, scale, a, a_is_turned, a_step, b, b_is_turned, b_step, c, c_step, accumulate);
}

double ck_peak_operations(size_t rounds) {
#if defined(__x86_64__)
  int level = ck_level();
  if (level == 2) return peak_avx512(rounds);
  if (level == 1) return peak_avx2(rounds);
#endif
  return peak_plain(rounds);
}
