/* PyTorch's .pt, .pth and .bin files: the zip archives torch.save writes since version 1.6.
 *
 *   NAME/data.pkl      the saved object, without the numbers; its checksum is verified, and it is read as data
 *                      (encoders/import/pickle.h): no code runs
 *   NAME/data/KEY      the storages, mapped
 *   NAME/byteorder     "little" or "big"; older files lack it and are little
 *   NAME/version and what newer versions add (.format_version, .storage_alignment, .data/serialization_id) is not
 *                      needed
 * NAME is free. An archive of a compiled program (TorchScript) is refused with the way to save its state dict; the
 * stream and tar formats of before 1.6 are told by cts_torch_is_legacy().
 *
 * The state dict is the saved mapping itself, or the one under "model", "state_dict", "model_state_dict" or "module"
 * when that holds tensors (two of them: CTS_E_INPUT, which one is meant cannot be told). Entries of it that are no
 * tensors are left out.
 * SPDX-License-Identifier: MIT */
#ifndef CTS_ENCODERS_IMPORT_TORCH_FILE_H
#define CTS_ENCODERS_IMPORT_TORCH_FILE_H

#include "encoders/import/weights.h"

typedef struct cts_torch_file cts_torch_file;

/* CTS_E_FORMAT, CTS_E_LIMIT, CTS_E_IO, CTS_E_INPUT, CTS_E_UNSUPPORTED. */
int cts_torch_file_open(cts_torch_file **out, const char *path);
void cts_torch_file_close(cts_torch_file *f);            /* NULL allowed; tensors and names end with it */
const char *cts_torch_file_key(const cts_torch_file *f); /* "" = the state dict is at the top */
int cts_torch_file_n(const cts_torch_file *f);
const cts_weight *cts_torch_file_at(const cts_torch_file *f, int i); /* in the order of the file; no name twice */

/* The n bytes begin like a pickle, or are a tar archive. */
bool cts_torch_is_legacy(const void *p, size_t n);

#endif
