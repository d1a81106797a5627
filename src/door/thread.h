/* A thread of the library's own. Signals are the host's and go to its threads; only faults of the
 * thread's own stay deliverable, since a blocked fault kills the process before the host's handler
 * can say why. */
#ifndef BPI_THREAD_H
#define BPI_THREAD_H

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>

static inline bool bpi_thread_start(pthread_t *thread, void *(*body)(void *), void *arg)
{
    static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS};
    sigset_t blocked, own;
    sigfillset(&blocked);
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++)
        sigdelset(&blocked, faults[i]);
    pthread_sigmask(SIG_SETMASK, &blocked, &own);
    bool started = pthread_create(thread, NULL, body, arg) == 0;
    pthread_sigmask(SIG_SETMASK, &own, NULL);
    return started;
}

#endif
