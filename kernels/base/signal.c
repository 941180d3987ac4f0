/* SPDX-License-Identifier: MIT */
#include "kernels/base/signal.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "kernels/base/status.h"

_Static_assert(ATOMIC_INT_LOCK_FREE == 2, "a signal handler may touch only lock-free atomics");

static atomic_int interrupted;

static void on_signal(int sig)
{
    (void)sig;
    if (atomic_exchange(&interrupted, 1))
        _exit(130);
}

int cts_signal_install(void)
{
    struct sigaction action = {0}, ignore = {0};

    action.sa_handler = on_signal;
    action.sa_flags = SA_RESTART; /* stdio and LMDB do not expect EINTR */
    ignore.sa_handler = SIG_IGN;
    sigemptyset(&action.sa_mask);
    sigemptyset(&ignore.sa_mask);
    if (sigaction(SIGINT, &action, NULL) || sigaction(SIGTERM, &action, NULL) || sigaction(SIGPIPE, &ignore, NULL) ||
        sigaction(SIGXFSZ, &ignore, NULL))
        return cts_fail(CTS_E_IO, "cannot install signal handlers: %s", strerror(errno));
    return CTS_OK;
}

bool cts_interrupted(void)
{
    return atomic_load_explicit(&interrupted, memory_order_relaxed) != 0;
}

void cts_interrupt(void)
{
    atomic_store(&interrupted, 1);
}

void cts_interrupt_clear(void)
{
    atomic_store(&interrupted, 0);
}
