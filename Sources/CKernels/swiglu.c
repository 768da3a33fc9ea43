#include "CKernels.h"

#include <math.h>

void ck_swiglu(const float *gate, const float *up, float *h, size_t count) {
  for (size_t i = 0; i < count; i++) h[i] = gate[i] / (1 + expf(-gate[i])) * up[i];
}
