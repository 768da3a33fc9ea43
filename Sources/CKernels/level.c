#include "variants.h"

#include "CKernels.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

static _Atomic int known = -1;

static int detected(void) {
  int level = 0;
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) level = 1;
  if (level == 1 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
    level = 2;
#endif
  const char *asked = getenv("REHEARSAL_KERNELS");
  if (asked && strcmp(asked, "plain") == 0) return 0;
  if (asked && strcmp(asked, "avx2") == 0 && level > 1) return 1;
  return level;
}

/* Of the calling thread alone: a test of one variant must not change what another test runs meanwhile. */
static _Thread_local int limit = 2;

int ck_level(void) {
  int level = atomic_load_explicit(&known, memory_order_relaxed);
  if (level < 0) {
    level = detected();
    atomic_store_explicit(&known, level, memory_order_relaxed);
  }
  return level < limit ? level : limit;
}

void ck_use_level(int level) { limit = level; }
