#ifndef REHEARSAL_CMPI_H
#define REHEARSAL_CMPI_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1 /* sched_getaffinity and CPU_COUNT */
#endif
#define OMPI_SKIP_MPICXX 1
#include <dlfcn.h>
#include <mpi.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>

/* Open MPI's handles are macros that cast addresses, which Swift cannot import. */
static inline MPI_Comm cmpi_comm_world(void) { return MPI_COMM_WORLD; }
static inline MPI_Comm cmpi_comm_null(void) { return MPI_COMM_NULL; }
static inline MPI_Datatype cmpi_byte(void) { return MPI_BYTE; }
static inline MPI_Info cmpi_info_null(void) { return MPI_INFO_NULL; }
static inline MPI_Request cmpi_request_null(void) { return MPI_REQUEST_NULL; }
static inline MPI_Status *cmpi_status_ignore(void) { return MPI_STATUS_IGNORE; }
static inline MPI_Status *cmpi_statuses_ignore(void) { return MPI_STATUSES_IGNORE; }
static inline MPI_Errhandler cmpi_errors_return(void) { return MPI_ERRORS_RETURN; }

/* The largest tag of a message; -1 if MPI does not say. */
static inline int cmpi_maximum_tag(MPI_Comm comm) {
  int *value = 0;
  int is_set = 0;
  if (MPI_Comm_get_attr(comm, MPI_TAG_UB, &value, &is_set) != MPI_SUCCESS || !is_set) return -1;
  return *value;
}

/* The cores that this process may run on, a bit each; 0 if the system does not say. At most `bytes` are written. */
static inline int cmpi_cores(unsigned char *mask, int bytes) {
  cpu_set_t set;
  memset(mask, 0, (size_t)bytes);
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) != 0) return 0;
  for (int core = 0; core < CPU_SETSIZE && core < 8 * bytes; core++)
    if (CPU_ISSET(core, &set)) mask[core / 8] |= (unsigned char)(1u << (core % 8));
  return CPU_COUNT(&set);
}

/* Whether each of Open MPI's looks for messages gives the core away if it found none. Open MPI itself only asks once,
   when it starts; this call of its library has no header. 0 where the library does not have it. */
static inline int cmpi_yield_when_idle(int yields) {
  _Bool (*set)(_Bool) = (_Bool (*)(_Bool))dlsym(RTLD_DEFAULT, "opal_progress_set_yield_when_idle");
  if (set) (void)set(yields != 0);
  return set != 0;
}

static inline void cmpi_yield(void) { (void)sched_yield(); }

/* Gives the core away for about so long. Linux wakes a thread up to 50 us late unless told otherwise. */
static inline void cmpi_exact_pauses(void) { (void)prctl(PR_SET_TIMERSLACK, 1000UL, 0UL, 0UL, 0UL); }
static inline void cmpi_pause(long nanoseconds) {
  struct timespec span = {0, nanoseconds};
  (void)nanosleep(&span, 0);
}

/* A file without a name, in memory; -1 if there is none to be had. */
static inline int cmpi_memory_file(void) { return memfd_create("open-mpi", MFD_CLOEXEC); }

#endif
