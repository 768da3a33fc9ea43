#ifndef REHEARSAL_COPENBLAS_H
#define REHEARSAL_COPENBLAS_H

#include <cblas.h>

#endif
