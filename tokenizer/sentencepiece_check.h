/* Is a SentencePiece model file safe to hand to the library? Used by sentencepiece.c alone.
 * SPDX-License-Identifier: MIT */
#ifndef CTS_TOKENIZER_SENTENCEPIECE_CHECK_H
#define CTS_TOKENIZER_SENTENCEPIECE_CHECK_H

#include <stddef.h>

/* CTS_E_FORMAT or CTS_E_LIMIT with the field that is wrong; path is for messages. Borrows the n bytes. Any thread. */
int cts_sp_check_model(const void *bytes, size_t n, const char *path);

#endif
