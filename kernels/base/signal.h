/* Ctrl-C and SIGTERM as a flag that long loops poll, so that what was promised reaches the disk before the program
 * ends.
 * SPDX-License-Identifier: MIT */
#ifndef CTS_KERNELS_BASE_SIGNAL_H
#define CTS_KERNELS_BASE_SIGNAL_H

#include <stdbool.h>

/* Catch SIGINT and SIGTERM: the first sets the flag, the second ends the process at once with exit code 130. SIGPIPE
 * and SIGXFSZ are ignored, so that a closed pipe and a file-size limit come back as write errors. For programs, once,
 * before threads start. CTS_E_IO when the system refuses. */
int cts_signal_install(void);
/* A signal came. Any thread; cheap enough for inner loops. */
bool cts_interrupted(void);
/* Set the flag as a signal would (tests, a server's own stop). */
void cts_interrupt(void);
/* Forget the signal, for a program that goes on after it. */
void cts_interrupt_clear(void);

#endif
