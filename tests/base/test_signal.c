/* SPDX-License-Identifier: MIT */
#include "kernels/base/signal.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "kernels/base/status.h"

/* Exit code of a child that gets `sig` `times` times; 40 = it lived on and saw the flag, 41 = it did not see it. */
static int child(int sig, int times)
{
    pid_t pid = fork();
    int status = 0;

    if (pid == 0) {
        if (cts_signal_install() != CTS_OK || cts_interrupted())
            _exit(42);
        for (int i = 0; i < times; i++)
            raise(sig);
        _exit(cts_interrupted() ? 40 : 41);
    }
    assert_true(pid > 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void test_signals(void **state)
{
    (void)state;
    assert_int_equal(child(SIGINT, 1), 40);
    assert_int_equal(child(SIGTERM, 1), 40);
    assert_int_equal(child(SIGINT, 2), 130);
    assert_int_equal(child(SIGTERM, 2), 130);
    assert_int_equal(child(SIGPIPE, 3), 41);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_signals)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
