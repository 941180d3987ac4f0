/* Answers for people and for scripts: bars, clipped lines, lists of findings.
 * SPDX-License-Identifier: MIT */
#ifndef CTS_QUERY_PRESENT_H
#define CTS_QUERY_PRESENT_H

#include <jansson.h>
#include <stdint.h>
#include <stdio.h>

/* Columns of the terminal on stdout, 120 when it is none; at least 60. */
int cts_columns(void);
/* `cells` characters: '#' up to the fraction (clamped to 0..1), then '.'. */
void cts_print_bar(FILE *f, double fraction, int cells);
/* The first line of UTF-8 text in at most `columns` code points, "..." where it was cut, control characters as spaces.
 * Returns the columns written. */
int cts_print_clipped(FILE *f, const char *text, int columns);
/* "  key      words ..." on as many lines as the terminal's width asks for. */
void cts_print_rule(const char *key, const char *text);
/* Names of the findings whose bit is set, in the order of data/findings.h. */
json_t *cts_labels_json(uint32_t labels);
/* "Emphysema, Pleural effusion"; "no finding" for none, "not labelled" when known is 0. Owned by the caller, NULL when
 * out of memory. */
char *cts_labels_text(uint32_t labels, uint32_t known);
/* A number; null for NaN. */
json_t *cts_number_json(double v);

#endif
