/* Keys of a foreign state dict and the rules that rename or drop them.
 *
 * A pattern is matched against a whole name: '*' stands for one character or more, '#' for one digit or more, all else
 * for itself. In a target "$1" to "$9" are what the first to ninth of them stood for.
 * A family hands over sections: names that start with `from` are looked at without it, and `to` goes before what
 * becomes of them. The first rule of the first section that matches decides; a name no rule matches keeps its spelling
 * in the first section that fits and whose result the model has.
 * SPDX-License-Identifier: MIT */
#ifndef CTS_ENCODERS_IMPORT_MAPPING_H
#define CTS_ENCODERS_IMPORT_MAPPING_H

#include "encoders/import/weights.h"
#include "kernels/base/status.h"

typedef struct {
    const char *name; /* without the prefixes that wrappers put before every name; inside w->name */
    const cts_weight *w;
} cts_import_key;

typedef struct {
    cts_import_key *key;    /* in the order of the file */
    cts_import_key *sorted; /* by name */
    int n;
} cts_import_keys;

/* Strips "module.", "_orig_mod.", "trained_model." and "model.", also one after the other. CTS_E_FORMAT when two names
 * become one, CTS_E_LIMIT for a name over 1,000 bytes. End with cts_import_keys_clear(). w is borrowed. */
int cts_import_keys_make(cts_import_keys *out, const cts_weights *w);
void cts_import_keys_clear(cts_import_keys *k); /* zeroed is fine */
/* The tensor of a printf-style name; NULL = none. */
const cts_weight *cts_import_find(const cts_import_keys *k, const char *fmt, ...) CTS_PRINTF(2, 3);
/* The same, and it must have this number of axes, none of them empty; otherwise CTS_E_MISMATCH. */
int cts_import_need(const cts_weight **out, const cts_import_keys *k, int ndim, const char *fmt, ...) CTS_PRINTF(4, 5);

typedef enum {
    CTS_RULE_ALIAS = 1,       /* the target may come from a second name too; then the values must be equal */
    CTS_RULE_IF_DECLARED = 2, /* used where the model has the target, dropped for the reason given where not */
    CTS_RULE_ZERO = 4         /* dropped only when every value is 0 */
} cts_import_rule_flags;

typedef struct {
    const char *pattern;
    const char *target; /* NULL = dropped */
    const char *reason; /* of a drop, for people */
    int flags;
} cts_import_rule;

typedef struct {
    const char *from, *to;
    const cts_import_rule *rules;
    int n_rules;
} cts_import_section;

/* Does the pattern match the whole name? */
bool cts_import_match(const char *pattern, const char *name);
/* The first rule that decides over name; *rule NULL when none does. *target (free()) is NULL for a drop.
 * CTS_E_NOMEM. */
int cts_import_apply(char **target, const cts_import_rule **rule, const cts_import_section *s, int n, const char *name);
/* The name as it is, by one section; *target (free()) is NULL when the section does not fit. CTS_E_NOMEM. */
int cts_import_keep(char **target, const cts_import_section *s, const char *name);

#endif
