/* A fuzz target without a fuzzer. SPDX-License-Identifier: MIT */
#ifndef CTS_TESTS_SUPPORT_FUZZ_REPLAY_H
#define CTS_TESTS_SUPPORT_FUZZ_REPLAY_H

#include <stddef.h>
#include <stdint.h>

/* Each file of tests/fuzz/<name>/corpus as it is, and `rounds` times with bytes changed, cut and doubled from a fixed
 * seed. The target aborts where it finds something; a missing corpus fails the running test. */
void cts_fuzz_replay(const char *name, int (*target)(const uint8_t *, size_t), int rounds);

#endif
