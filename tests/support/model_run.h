/* What the golden tests of the encoders share: a back end, weights by name, and the published order of axes.
 * CTS_TEST_BACKEND picks the back end (cpu). Every function ends the running test when it cannot deliver.
 * SPDX-License-Identifier: MIT */
#ifndef CTS_TESTS_SUPPORT_MODEL_RUN_H
#define CTS_TESTS_SUPPORT_MODEL_RUN_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "encoders/blocks.h"
#include "kernels/autodiff.h"
#include "kernels/exec.h"
#include "tests/support/golden.h"

/* Fails the test with the status and the sentence of a call that did not succeed. */
#define MUST(call) cts_test_must((call), #call)

void cts_test_must(int rc, const char *what);
/* Zeroed memory, never NULL. */
void *cts_test_alloc(size_t n);

/* A new back end (NULL = the chosen one) on a pool of 2 threads that lives as long as the program. */
cts_backend *cts_test_backend(const char *name);

/* Fill every entry: from tensor <stored><name> of g where it is there, by the formula otherwise, whose name is
 * <formula><name>. g NULL = formula only. The temperature keeps its initial value. */
void cts_test_weights(cts_params *p, const cts_golden *g, uint64_t seed, const char *stored, const char *formula);

/* [b, z, x, y, c] -> (b, c, x, y, z), malloc'd; shape gets the latter. */
float *cts_test_published(const float *in, const int64_t s[5], int64_t shape[5]);

/* The way back: (b, c, x, y, z) of published shape s -> [b, z, x, y, c], malloc'd. */
float *cts_test_ours(const float *in, const int64_t s[5]);

/* Graph, plan and exec of one case. */
typedef struct {
    cts_graph *g;
    cts_plan *plan;
    cts_exec *e;
} model_run;

/* Plan and exec of r->g. */
void cts_test_plan(model_run *r, cts_backend *b, cts_grads *grads);
/* End all three. */
void cts_test_end(model_run *r);

/* One encoder on a back end of its own: begin, build() with in and out, weights, plan, run, end. */
typedef struct {
    cts_params *params;
    cts_grads *grads; /* NULL without a target */
    cts_backend *b;
    model_run run;
    cts_encoder_inputs in;
    cts_encoder_outputs out;
    cts_tensor *d_target;
} model_net;

/* Back end (NULL = the chosen one), no parameters, an empty graph. */
void cts_test_net_begin(model_net *n, const char *backend);
/* Gradients of everything by `target` (NULL = inference), whose own gradient is to be written to d_target; the plan. */
void cts_test_net_plan(model_net *n, cts_tensor *target);
void cts_test_net_end(model_net *n);

/* The output `name` of the last run, malloc'd. */
float *cts_test_read(model_run *r, const char *name, const cts_tensor **t);

/* Output `name`, a grid, in published order against golden tensor `golden`. Returns whether it is near. */
bool cts_test_grid_near(model_run *r, const char *name, const cts_golden *g, const char *golden, double relative,
                        double absolute);

double cts_test_dot(const float *a, const float *b, size_t n);

/* Largest magnitude over the golden gradients named <prefix>*: what gradients that are zero in exact arithmetic are
 * held to. */
double cts_test_largest(const cts_golden *g, const char *prefix);

#endif
