#ifndef REHEARSAL_CZLIB_H
#define REHEARSAL_CZLIB_H

#include <zlib.h>

#endif
