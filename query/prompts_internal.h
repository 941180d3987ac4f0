/* The table of prompt banks. SPDX-License-Identifier: MIT */
#ifndef CTS_QUERY_PROMPTS_INTERNAL_H
#define CTS_QUERY_PROMPTS_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>

#include "data/findings.h"

#define CTS_PROMPT_ROW 8 /* pairs of a row, at most */

/* affirming, denying; rows end at a NULL. {Finding} and {finding} stand for the name. */
typedef const char *cts_prompt_pair[2];

/* Other pairs for one finding. */
typedef struct {
    const char *finding; /* as in the label CSV; NULL ends a list */
    cts_prompt_pair pair[CTS_PROMPT_ROW];
} cts_prompt_special;

typedef struct {
    const char *name, *about;
    cts_prompt_pair pair[CTS_PROMPT_ROW];
    const cts_prompt_special *special; /* NULL = none */
    bool extra;                        /* special pairs come beside the default ones, not instead of them */
} cts_prompt_row;

extern const cts_prompt_row cts_prompt_rows[];
extern const size_t cts_prompt_rows_n;

#endif
