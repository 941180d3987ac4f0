/* BM25 over a set of texts: the ranking by shared words that every search by vectors has to beat.
 *
 *   score(q, d) = sum over the words w of q of idf(w) * tf * (k1 + 1) / (tf + k1 * (1 - b + b * |d| / mean |d|))
 *   idf(w) = ln(1 + (N - df + 0.5) / (df + 0.5))
 * Robertson and Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond" (2009), with the idf that stays
 * above 0. A word is a run of letters and digits, ASCII letters in lower case; bytes above 127 count as letters. No
 * stemming, and no word is dropped: what a list of stop words would do is done by asking with fewer words.
 * Any number of threads may score at once.
 * SPDX-License-Identifier: MIT */
#ifndef CTS_QUERY_EVAL_BM25_H
#define CTS_QUERY_EVAL_BM25_H

#include <stddef.h>

#define CTS_BM25_K1 1.2
#define CTS_BM25_B 0.75

typedef struct cts_bm25 cts_bm25;

/* n texts, read during the call; one may be "". CTS_E_NOMEM; CTS_E_LIMIT beyond 2^31 - 1 texts or words. */
int cts_bm25_create(cts_bm25 **out, const char *const *texts, size_t n, double k1, double b);
void cts_bm25_destroy(cts_bm25 *m);       /* NULL allowed */
size_t cts_bm25_words(const cts_bm25 *m); /* different words */
/* score [n]: of every text for the query. A word twice in the query counts twice; one that no text has counts nothing.
 */
void cts_bm25_score(const cts_bm25 *m, const char *query, double *score);

#endif
