#ifndef REHEARSAL_CKERNELS_THREADS_H
#define REHEARSAL_CKERNELS_THREADS_H

#include <stddef.h>

/* Threads that a kernel shares its work with. There is one set of them in the process; a kernel that finds it at work
   for another one, or runs within it, does its work alone. */

/* How many threads a kernel may use, the calling one included. 1 at first. Not while a kernel runs. */
void ck_set_threads(int count);
int ck_threads(void);

/* Whether work would be shared now: more than one thread, and not within shared work already. */
int ck_may_share(void);

/* Calls work(context, item) for each item below count, on all threads, in no order; returns when all are done. */
void ck_share(size_t count, void (*work)(void *context, size_t item), void *context);

#endif
