/* Prompt banks: sentences that affirm and deny each of the 18 findings, one pair or several a finding.
 *
 * Built in are the prompts of published evaluations and one bank of our own with several phrasings; a file brings
 * others:
 *   {"name": "mine", "about": "...",
 *    "default": [["{Finding} is present.", "{Finding} is not present."], ..],
 *    "findings": {"Lung nodule": [["A nodule is seen.", "No nodule is seen."], ..], ..}}
 * A pair is [affirming, denying]; {Finding} is the name as in the label CSV ("Pleural effusion"), {finding} the same
 * with a small first letter. A finding without an entry takes the default; one of the two it must have. Another word in
 * braces, a pair of equal texts, or a default without the name, by which all findings would be one, is an error.
 * SPDX-License-Identifier: MIT */
#ifndef CTS_QUERY_PROMPTS_H
#define CTS_QUERY_PROMPTS_H

#include <stdbool.h>
#include <stddef.h>

#include "data/findings.h"

#define CTS_PROMPT_PAIRS 32 /* of a finding, at most */

typedef struct {
    char name[64];
    char *about;
    int n[CTS_FINDINGS];                           /* pairs, 1 to CTS_PROMPT_PAIRS */
    char *text[CTS_FINDINGS][CTS_PROMPT_PAIRS][2]; /* owned: affirming, denying */
} cts_prompt_bank;

/* A built-in bank by name, or a file: a text that ends in ".json" or holds a '/'. CTS_E_NOTFOUND lists the names,
 * CTS_E_FORMAT names file and field. End with cts_prompt_bank_close(). */
int cts_prompt_bank_open(cts_prompt_bank **out, const char *name_or_path);
void cts_prompt_bank_close(cts_prompt_bank *b); /* NULL allowed */

size_t cts_prompt_bank_count(void); /* built in */
const char *cts_prompt_bank_name(size_t i);

/* All built-in banks, their first pairs, how many there are: to stdout, or as {"prompts": [{name, about, phrasings,
 * example: [affirming, denying]}]}. */
int cts_prompt_banks_print(bool json);

#endif
