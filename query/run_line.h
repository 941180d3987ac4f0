/* Commands of this program run inside it, from the words a user would type, with their JSON answer caught.
 * SPDX-License-Identifier: MIT */
#ifndef CTS_QUERY_RUN_LINE_H
#define CTS_QUERY_RUN_LINE_H

#include "kernels/base/str.h"
#include "query/cli.h"

/* words: "query", "--index", ... up to NULL; words[0] names a command, "--json" is added when running.
 * *answer = the object the command printed, to be released. Its progress goes to standard error as ever. A status of
 * the command is returned, CTS_E_PARTIAL with an answer. CTS_E_IO when standard output cannot be redirected. Standard
 * output belongs to this call while it runs: one thread only. */
int cts_run_line(json_t **answer, const char *const *words);
/* The same words as one shell line: ctsearch query --text "pleural effusion". */
void cts_line_text(cts_str *out, const char *const *words);

#endif
