/* SPDX-License-Identifier: MIT */
#include "tests/support/scratch.h"

#include <unistd.h>

static char scratch_dir[64];

int cts_scratch_make(void **state)
{
    (void)state;
    strcpy(scratch_dir, "/tmp/cts-test-XXXXXX");
    assert_non_null(mkdtemp(scratch_dir));
    return 0;
}

int cts_scratch_remove(void **state)
{
    (void)state;
    return cts_remove_tree(scratch_dir);
}

const char *cts_scratch(const char *name)
{
    static char path[32][256];
    static int k;

    k = (k + 1) % 32;
    snprintf(path[k], sizeof path[k], "%s/%s", scratch_dir, name);
    return path[k];
}

void cts_scratch_write(const char *path, const void *p, size_t n)
{
    MUST(cts_file_write_atomic(path, p, n));
}

const char *cts_scratch_text(const char *name, const char *text)
{
    const char *path = cts_scratch(name);

    cts_scratch_write(path, text, strlen(text));
    return path;
}

void cts_assert_refused(int rc, int want, const char *word)
{
    if (rc != want || !strstr(cts_error(), word))
        fail_msg("status %s (\"%s\"), wanted %s and \"%s\"", cts_status_name(rc), cts_error(), cts_status_name(want),
                 word);
}

cts_clip *cts_scratch_pair(uint64_t seed, bool learned, int hidden)
{
    json_t *j =
        json_pack("{s:{s:s, s:{s:[i,i,i,i,i], s:[i,i,i,i,i], s:[i,i,i,i], s:[i,i,i]}}, s:{s:s, s:{s:i, s:i, s:i, "
                  "s:i, s:i, s:i}}, s:i}",
                  "image", "encoder", "dcformer", "config", "num_blocks", 1, 1, 1, 1, 1, "channels", 4, 4, 8, 8, 8,
                  "kernel_sizes", 5, 3, 3, 3, "input_size", 16, 32, 24, "text", "encoder", "bert", "config",
                  "vocab_size", 50, "hidden_size", hidden, "num_hidden_layers", 2, "num_attention_heads", 2,
                  "intermediate_size", 16, "max_position_embeddings", 12, "latent_dim", 6);
    cts_clip_config c = {0};
    cts_clip *m = NULL;

    assert_non_null(j);
    if (learned)
        json_object_set_new(j, "temperature",
                            json_pack("{s:s, s:f, s:f}", "kind", "learned", "value", 2.5, "bias", -3.0));
    MUST(cts_clip_config_parse(&c, j, "test"));
    MUST(cts_clip_create_init(&m, &c, seed));
    json_decref(j);
    return m;
}

bool cts_same_params(const cts_params *a, const cts_params *b)
{
    if (cts_params_n(a) != cts_params_n(b))
        return false;
    for (int i = 0; i < cts_params_n(a); i++) {
        const cts_param *p = cts_params_get(a, i), *q = cts_params_get(b, i);

        if (strcmp(p->name, q->name) || p->count != q->count ||
            memcmp(p->data, q->data, (size_t)p->count * sizeof(float)))
            return false;
    }
    return true;
}
