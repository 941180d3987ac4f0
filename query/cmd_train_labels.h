/* The supervised verbs of `ctsearch train`. SPDX-License-Identifier: MIT */
#ifndef CTS_QUERY_CMD_TRAIN_LABELS_H
#define CTS_QUERY_CMD_TRAIN_LABELS_H

int cts_train_scroll(int argc, char **argv);
int cts_train_probe(int argc, char **argv);

#endif
