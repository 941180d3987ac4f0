/* SPDX-License-Identifier: MIT */
#include "query/model_set.h"

#include "kernels/base/log.h"
#include "kernels/base/status.h"

int cts_model_set_open(cts_model_set *m, const cts_session *s, const char *const *further, size_t n,
                       const cts_scorer_options *o)
{
    int rc;

    if (n >= CTS_SCORER_MODELS_MAX)
        return cts_fail(CTS_E_LIMIT, "models: got %zu, allowed: %d", n + 1, CTS_SCORER_MODELS_MAX);
    m->engine[m->n++] = s->engine;
    for (size_t i = 0; i < n; i++) {
        if ((rc = cts_engine_open(&m->engine[m->n], further[i], s->runtime.backend)))
            return rc;
        if (*cts_engine_warning(m->engine[m->n]))
            cts_log(CTS_LOG_WARN, "%s", cts_engine_warning(m->engine[m->n]));
        m->n++;
    }
    return cts_scorer_create(&m->scorer, m->engine, m->n, o);
}

void cts_model_set_close(cts_model_set *m)
{
    cts_scorer_destroy(m->scorer);
    for (size_t i = 1; i < m->n; i++)
        cts_engine_close(m->engine[i]);
    *m = (cts_model_set){.n = 0};
}

void cts_model_set_warnings(const cts_model_set *m, json_t *list)
{
    for (size_t i = 1; i < m->n; i++)
        if (*cts_engine_warning(m->engine[i]))
            json_array_append_new(list, json_string(cts_engine_warning(m->engine[i])));
}
