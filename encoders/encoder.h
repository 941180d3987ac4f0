/* What an encoder is: one file with a cts_encoder_def, one row in registry.c.
 *
 * A definition turns a JSON object into its own config struct and appends the model to a graph. It calls op builders
 * only: no tensor data, no back end. The same build function counts parameters and multiply-adds, declares what a
 * checkpoint must hold, and makes training and inference graphs; which of these is told by the flags of cts_build.
 *
 * What comes out is told by cts_encoder_info: a grid or list of token vectors, one vector a sample, logits, or several
 * of them. A definition is constant and may be used by any number of threads.
 * SPDX-License-Identifier: MIT */
#ifndef CTS_ENCODERS_ENCODER_H
#define CTS_ENCODERS_ENCODER_H

#include <jansson.h>

#include "kernels/graph.h"

typedef enum { CTS_KIND_IMAGE, CTS_KIND_TEXT } cts_encoder_kind;

/* A graph under construction and how it is to be built. Zero it, set graph and flags; params are the graph's. */
#define CTS_PREFIX_BYTES 256
typedef struct {
    cts_graph *graph;
    bool grad; /* the graph will be differentiated: plain ops only, no fused epilogues */
    bool
        batch_stats; /* batch norms use this batch's statistics and move the running ones; false = running statistics */
    bool dropout;    /* dropout is active */
    bool recompute;  /* large intermediates are made again in backward instead of being kept */
    bool trace;      /* named intermediates become graph outputs (cts_build_trace) */
    const char *trace_only; /* with trace: this one alone; NULL = all */
    bool straight_through;  /* quantisers pass gradients with running statistics too, values equal but for rounding */
    char prefix[CTS_PREFIX_BYTES]; /* goes before every parameter name: "visual_transformer.encoder." */
} cts_build;

/* The training or the inference flags on an empty prefix. */
cts_build cts_build_make(cts_graph *g, bool train);

/* What goes in. An image encoder reads volume; a text encoder reads the others. Dimension 0 of volume, first: symbol
 * BATCH; of ids, positions, types, key_mask: symbol TOKENS. The tensors are INPUTs of the graph, or made by other
 * nodes. */
typedef struct {
    cts_tensor *volume; /* F32 [N, z, x, y], window units of the recipe; x and y are the NIfTI axes, z the slice axis */
    cts_tensor *ids;    /* I32 [n_tokens], sequences back to back, no padding */
    cts_tensor *positions; /* I32 [n_tokens], place inside its sequence from 0 */
    cts_tensor *types;     /* I32 [n_tokens], segment ids */
    /* I32 [n_seq + 1], sequence s is rows [offsets[s], offsets[s + 1]); no symbol, unused entries repeat the last */
    cts_tensor *offsets;
    cts_tensor *first;    /* I32 [n_seq], row of each sequence's first token */
    cts_tensor *key_mask; /* I32 [n_tokens], 0 hides a key; NULL = all visible */
} cts_encoder_inputs;

/* What comes out; NULL where the encoder has none. */
typedef struct {
    cts_tensor *tokens; /* image: [N, t, h, w, C] or [N, n, C] (t = z, h = x, w = y); text: [n_tokens, C] */
    cts_tensor *vector; /* [N, vector_dim]: what a projection takes */
    cts_tensor *logits; /* [N, n_logits] */
} cts_encoder_outputs;

/* Image: how to look back from a grid of features to voxels (encoders/cam.h). All zero = the tokens, tiles. */
typedef struct {
    const char *layer; /* traced grid that explains best; NULL = the tokens */
    int64_t slab;      /* > 0: z is read in slabs of so many slices, which never meet on the way to that layer */
    /* Along z, x, y: cell c lies on voxel c * stride, as odd kernels with symmetric padding put it; false = cells tile
     * the axis. */
    bool strided[3];
} cts_encoder_view;

typedef struct {
    int64_t volume[3];  /* image: voxels z, x, y the config is made for */
    int64_t max_tokens; /* text: longest sequence */
    int64_t vocab;      /* text: ids are in [0, vocab) */
    int64_t token_dim;  /* C of tokens; 0 = none */
    int64_t vector_dim; /* for volumes of the size above; 0 = none */
    int64_t n_logits;   /* 0 = none */
    bool any_volume;    /* other sizes than `volume` give the same vector_dim */
    cts_encoder_view view;
} cts_encoder_info;

typedef struct {
    const char *name; /* "dcformer-nano" */
    const char *json; /* the config, as parse() reads it */
} cts_encoder_preset;

typedef struct {
    const char *name;  /* "dcformer" */
    const char *about; /* one line: model and paper */
    cts_encoder_kind kind;
    const cts_encoder_preset *presets;
    int n_presets;
    /* Config from the JSON object j of file `file` (for messages), checked: build() never fails on it. Unknown keys are
     * ignored, so that a published config.json works. The caller ends *config with free(). */
    int (*parse)(void **config, const json_t *j, const char *file);
    /* The same as JSON, every field written; NULL when out of memory. parse(write(c)) gives c. */
    json_t *(*write)(const void *config);
    void (*info)(const void *config, cts_encoder_info *out);
    /* Append the model under the names of the published state dict. Shapes come from the input tensors. */
    void (*build)(cts_build *b, const void *config, const cts_encoder_inputs *in, cts_encoder_outputs *out);
} cts_encoder_def;

/* The registry. */
int cts_encoder_count(void);
const cts_encoder_def *cts_encoder_at(int i);
/* NULL = none. */
const cts_encoder_def *cts_encoder_find(const char *name);
/* Definition and config of a preset name ("dcformer-nano") or CTS_E_NOTFOUND naming the known ones. *config ends with
 * free(). */
int cts_encoder_preset_find(const cts_encoder_def **def, void **config, const char *preset);

/* {"encoder": name, "config": {..}} or {"preset": name} of file `file`, of the wanted kind, and back. */
int cts_encoder_from_json(const cts_encoder_def **def, void **config, const json_t *j, cts_encoder_kind kind,
                          const char *file);
json_t *cts_encoder_to_json(const cts_encoder_def *def, const void *config);

/* The INPUT tensors an encoder of this kind reads, made in g under the field names above ("volume", "ids", ...).
 * Image: n volumes of dim[3]. Text: n sequences, n_tokens tokens; key_mask only when asked. */
cts_encoder_inputs cts_encoder_image_inputs(cts_graph *g, int64_t n, const int64_t dim[3]);
cts_encoder_inputs cts_encoder_text_inputs(cts_graph *g, int64_t n, int64_t n_tokens, bool key_mask);

#endif
