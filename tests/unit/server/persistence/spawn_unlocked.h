/* spawn_unlocked.h -- for fakes of struct sys with a lock that a thread may hold: a child in which nobody holds it. */
#ifndef LOCKSTEP_TESTS_UNIT_SERVER_PERSISTENCE_SPAWN_UNLOCKED_H
#define LOCKSTEP_TESTS_UNIT_SERVER_PERSISTENCE_SPAWN_UNLOCKED_H

#include <pthread.h>

#include "storage/base/sys.h"

struct unlocked_child {
    pthread_mutex_t *lock;
    const struct sys_child *child;
};
static inline int run_unlocked(void *arg)
{
    const struct unlocked_child *u = arg;
    pthread_mutex_unlock(u->lock);
    return u->child->run(u->child->arg);
}
static inline pid_t spawn_unlocked(pthread_mutex_t *lock, const struct sys_child *child)
{
    struct unlocked_child u = {.lock = lock, .child = child};
    struct sys_child wrapped = *child;
    wrapped.run = run_unlocked;
    wrapped.arg = &u;
    pthread_mutex_lock(lock);
    pid_t pid = sys_real()->spawn(NULL, &wrapped);
    pthread_mutex_unlock(lock);
    return pid;
}

#endif
