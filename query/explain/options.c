/* SPDX-License-Identifier: MIT */
#include "query/explain/options.h"

#include "kernels/base/status.h"

error_t cts_explain_option(int key, char *arg, struct argp_state *state, cts_explain_options *how, cts_overrides *over)
{
    switch (key) {
    case CTS_KEY_LAYER:
        how->layer = arg;
        return 0;
    case CTS_KEY_WEIGHTS:
        if (cts_cam_weights_parse(&how->weights, arg))
            argp_error(state, "--%s", cts_error());
        return 0;
    case 'p':
        how->prompts = arg;
        return 0;
    case CTS_KEY_RECIPE:
        over->recipe = arg;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}
