/* SPDX-License-Identifier: MIT */
#include "tokenizer/sentencepiece_shim.h"

#include <sentencepiece_processor.h>
#include <sentencepiece_trainer.h>

#include <exception>
#include <memory>
#include <new>
#include <string>
#include <unordered_map>
#include <vector>

#include "kernels/base/status.h"

struct cts_sp {
    sentencepiece::SentencePieceProcessor processor;
};

namespace
{

/* The sentence for whatever was thrown; call it inside a catch. */
int caught(const char *doing)
{
    try {
        throw;
    } catch (const std::bad_alloc &) {
        return cts_fail(CTS_E_NOMEM, "no memory while SentencePiece was %s", doing);
    } catch (const std::exception &e) {
        return cts_fail(CTS_E_FORMAT, "SentencePiece failed %s: %s", doing, e.what());
    } catch (...) {
        return cts_fail(CTS_E_FORMAT, "SentencePiece failed %s", doing);
    }
}

int refused(int rc, const char *doing, const sentencepiece::util::Status &status)
{
    return cts_fail(rc, "SentencePiece failed %s: %s", doing, status.ToString().c_str());
}

class texts_iterator : public sentencepiece::SentenceIterator
{
  public:
    texts_iterator(const char *const *texts, size_t n) : texts_(texts), n_(n)
    {
        load();
    }
    bool done() const override
    {
        return at_ >= n_;
    }
    void Next() override
    {
        at_++;
        load();
    }
    const std::string &value() const override
    {
        return value_;
    }
    sentencepiece::util::Status status() const override
    {
        return sentencepiece::util::Status();
    }

  private:
    void load()
    {
        if (at_ < n_)
            value_ = texts_[at_];
    }

    const char *const *texts_;
    size_t n_, at_ = 0;
    std::string value_;
};

} // namespace

int cts_sp_open(cts_sp **out, const void *bytes, size_t n)
{
    try {
        std::unique_ptr<cts_sp> sp(new cts_sp);
        const auto status =
            sp->processor.LoadFromSerializedProto(absl::string_view(static_cast<const char *>(bytes), n));

        if (!status.ok())
            return refused(CTS_E_FORMAT, "reading the model", status);
        if (sp->processor.GetPieceSize() <= 0)
            return cts_fail(CTS_E_FORMAT, "the SentencePiece model has no pieces");
        *out = sp.release();
        return CTS_OK;
    } catch (...) {
        return caught("reading the model");
    }
}

void cts_sp_close(cts_sp *sp)
{
    try {
        delete sp;
    } catch (...) {
        /* nothing is left to free */
    }
}

int32_t cts_sp_size(const cts_sp *sp)
{
    try {
        return sp->processor.GetPieceSize();
    } catch (...) {
        return 0;
    }
}

void cts_sp_ends(const cts_sp *sp, int32_t *begin, int32_t *end)
{
    try {
        *begin = sp->processor.bos_id();
        *end = sp->processor.eos_id();
    } catch (...) {
        *begin = *end = -1;
    }
}

int cts_sp_encode(const cts_sp *sp, const char *text, size_t n_bytes, int (*put)(void *ctx, int32_t id), void *ctx)
{
    try {
        std::vector<int> ids;
        const auto status = sp->processor.Encode(absl::string_view(text, n_bytes), &ids);
        int rc;

        if (!status.ok())
            return refused(CTS_E_INPUT, "encoding a text", status);
        for (int id : ids)
            if ((rc = put(ctx, id)) != CTS_OK)
                return rc;
        return CTS_OK;
    } catch (...) {
        return caught("encoding a text");
    }
}

int cts_sp_decode(const cts_sp *sp, const int32_t *ids, size_t n,
                  int (*put)(void *ctx, const char *text, size_t n_bytes), void *ctx)
{
    try {
        std::string text;
        const auto status = sp->processor.Decode(std::vector<int>(ids, ids + n), &text);

        if (!status.ok())
            return refused(CTS_E_INPUT, "decoding ids", status);
        return put(ctx, text.data(), text.size());
    } catch (...) {
        return caught("decoding ids");
    }
}

int cts_sp_train(const cts_sp_training *how, const char *const *texts, size_t n,
                 int (*put)(void *ctx, const char *bytes, size_t n_bytes), void *ctx)
{
    try {
        texts_iterator sentences(texts, n);
        std::string model;
        const std::unordered_map<std::string, std::string> options = {
            {"model_type", how->model_type},
            {"normalization_rule_name", how->normalization},
            {"vocab_size", std::to_string(how->vocab_size)},
            {"hard_vocab_limit", "false"},
            {"byte_fallback", how->byte_fallback ? "true" : "false"},
            {"character_coverage", "1.0"},
            {"pad_id", "0"},
            {"unk_id", "1"},
            {"bos_id", "2"},
            {"eos_id", "3"},
            {"max_sentence_length", std::to_string(how->longest + 1)},
            /* expected counts are summed a thread at a time: the number is part of the result, so not the machine's */
            {"num_threads", "4"},
            {"minloglevel", "2"},
        };
        const auto status = sentencepiece::SentencePieceTrainer::Train(options, &sentences, &model);

        if (!status.ok())
            return refused(CTS_E_INPUT, "training", status);
        return put(ctx, model.data(), model.size());
    } catch (...) {
        return caught("training");
    }
}
