#include "threads.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

static pthread_mutex_t in_use = PTHREAD_MUTEX_INITIALIZER;

/* Under the lock: the work at hand, how many helpers may still join it, and how many are at it. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t offered = PTHREAD_COND_INITIALIZER;
static pthread_cond_t left = PTHREAD_COND_INITIALIZER;
static void (*work)(void *, size_t);
static void *context;
static size_t items;
static int places, active, helpers;

static _Atomic int wanted = 1;
static _Atomic size_t next;
static _Thread_local int is_within;

static void take_items(void (*work)(void *, size_t), void *context, size_t count) {
  is_within = 1;
  for (size_t item; (item = atomic_fetch_add(&next, 1)) < count;) work(context, item);
  is_within = 0;
}

static void *help(void *unused) {
  (void)unused;
  pthread_mutex_lock(&lock);
  for (;;) {
    while (places == 0) pthread_cond_wait(&offered, &lock);
    places--;
    active++;
    void (*own_work)(void *, size_t) = work;
    void *own_context = context;
    size_t count = items;
    pthread_mutex_unlock(&lock);
    take_items(own_work, own_context, count);
    pthread_mutex_lock(&lock);
    if (--active == 0) pthread_cond_signal(&left);
  }
  return NULL;
}

void ck_set_threads(int count) { atomic_store(&wanted, count < 1 ? 1 : count); }
int ck_threads(void) { return atomic_load(&wanted); }
int ck_may_share(void) { return ck_threads() > 1 && !is_within; }

void ck_share(size_t count, void (*call)(void *, size_t), void *argument) {
  int helping = ck_threads() - 1;
  if (helping < 1 || count < 2 || is_within || pthread_mutex_trylock(&in_use) != 0) {
    for (size_t item = 0; item < count; item++) call(argument, item);
    return;
  }
  pthread_mutex_lock(&lock);
  while (helpers < helping) {
    pthread_t thread;
    if (pthread_create(&thread, NULL, help, NULL) != 0) break;
    pthread_detach(thread);
    helpers++;
  }
  work = call;
  context = argument;
  items = count;
  atomic_store(&next, 0);
  places = helping < helpers ? helping : helpers;
  pthread_cond_broadcast(&offered);
  pthread_mutex_unlock(&lock);
  take_items(call, argument, count);
  pthread_mutex_lock(&lock);
  /* Who has not come yet would find nothing to do. */
  places = 0;
  while (active > 0) pthread_cond_wait(&left, &lock);
  pthread_mutex_unlock(&lock);
  pthread_mutex_unlock(&in_use);
}
