/* SPDX-License-Identifier: MIT */
#include "tests/support/text_batch.h"

text_batch cts_text_pack(const int64_t *ids, const int64_t *mask, const int64_t *types, int64_t n_seq, int64_t width,
                         bool padded)
{
    text_batch b = {.n_seq = n_seq, .width = width};
    size_t most = (size_t)(n_seq * width);

    b.ids = cts_test_alloc(most * sizeof *b.ids);
    b.positions = cts_test_alloc(most * sizeof *b.positions);
    b.types = cts_test_alloc(most * sizeof *b.types);
    b.key_mask = cts_test_alloc(most * sizeof *b.key_mask);
    b.row = cts_test_alloc(most * sizeof *b.row);
    b.offsets = cts_test_alloc((size_t)(n_seq + 1) * sizeof *b.offsets);
    b.first = cts_test_alloc((size_t)n_seq * sizeof *b.first);
    for (int64_t s = 0; s < n_seq; s++) {
        int64_t len = width;

        while (!padded && len > 0 && !mask[s * width + len - 1])
            len--;
        b.first[s] = (int32_t)b.n_tokens;
        for (int64_t i = 0; i < len; i++, b.n_tokens++) {
            int64_t at = s * width + i;

            b.ids[b.n_tokens] = (int32_t)ids[at];
            b.positions[b.n_tokens] = (int32_t)i;
            b.types[b.n_tokens] = types ? (int32_t)types[at] : 0;
            b.key_mask[b.n_tokens] = (int32_t)mask[at];
            b.row[b.n_tokens] = at;
        }
        b.offsets[s + 1] = (int32_t)b.n_tokens;
    }
    return b;
}

void cts_text_free(text_batch *b)
{
    free(b->ids);
    free(b->positions);
    free(b->types);
    free(b->key_mask);
    free(b->row);
    free(b->offsets);
    free(b->first);
}

void cts_text_write(cts_exec *e, const cts_encoder_inputs *in, const text_batch *b)
{
    MUST(cts_exec_write(e, in->ids, b->ids));
    MUST(cts_exec_write(e, in->positions, b->positions));
    MUST(cts_exec_write(e, in->types, b->types));
    MUST(cts_exec_write(e, in->offsets, b->offsets));
    MUST(cts_exec_write(e, in->first, b->first));
    if (in->key_mask)
        MUST(cts_exec_write(e, in->key_mask, b->key_mask));
}
