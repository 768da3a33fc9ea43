#ifndef REHEARSAL_CKERNELS_VARIANTS_H
#define REHEARSAL_CKERNELS_VARIANTS_H

/* One plain loop, compiled twice: for AVX2 with FMA and for any processor. Which of them runs is decided at run
   time. */

#include "experts.h"

#define CK_INLINE static inline __attribute__((always_inline))

#if defined(__x86_64__)
#define CK_AVX2 __attribute__((target("avx2,fma")))
#define CK_AVX512 __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")))
#else
#define CK_AVX2
#define CK_AVX512
#endif

/* Defines the function `name` from the inlined `name_loop`; `declared` and `passed` are its parameters in brackets. */
#define CK_VARIANTS(result, name, declared, passed)                         \
  CK_AVX2 static result name##_avx2 declared { return name##_loop passed; } \
  static result name##_plain declared { return name##_loop passed; }        \
  result name declared { return ck_level() > 0 ? name##_avx2 passed : name##_plain passed; }

#endif
