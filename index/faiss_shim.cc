// The only C++ of the index: FAISS 1.7.3 behind index/faiss_shim.h.
// SPDX-License-Identifier: MIT
#include "index/faiss_shim.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <memory>
#include <new>
#include <string>

#include <omp.h>

#include <faiss/IndexHNSW.h>
#include <faiss/IndexIDMap.h>
#include <faiss/IndexIVF.h>
#include <faiss/IndexIVFPQ.h>
#include <faiss/IndexPQ.h>
#include <faiss/IndexPreTransform.h>
#include <faiss/IndexRefine.h>
#include <faiss/impl/FaissException.h>
#include <faiss/impl/io.h>
#include <faiss/index_factory.h>
#include <faiss/index_io.h>

#include "kernels/base/status.h"

struct cts_faiss {
    std::unique_ptr<faiss::Index> index;
};

namespace
{

// FAISS says "Error in <C++ signature> at <file:line>: Error: '<condition>' failed: <reason>"; people need the last
// part.
std::string reason(const char *what)
{
    std::string s = what;
    size_t at = s.rfind(": ");

    return at == std::string::npos ? s : s.substr(at + 2);
}

template <typename F> int guarded(int code, const char *doing, F body)
{
    try {
        body();
        return CTS_OK;
    } catch (const std::bad_alloc &) {
        return cts_fail(CTS_E_NOMEM, "FAISS: out of memory while %s", doing);
    } catch (const std::exception &e) {
        return cts_fail(code, "FAISS refused while %s: %s", doing, reason(e.what()).c_str());
    } catch (...) {
        return cts_fail(code, "FAISS failed while %s", doing);
    }
}

// The searching core below transforms, id maps and refinement.
faiss::Index *core(faiss::Index *index)
{
    for (;;) {
        if (auto *p = dynamic_cast<faiss::IndexPreTransform *>(index))
            index = p->index;
        else if (auto *m = dynamic_cast<faiss::IndexIDMap *>(index))
            index = m->index;
        else if (auto *r = dynamic_cast<faiss::IndexRefine *>(index))
            index = r->base_index;
        else
            return index;
    }
}

// FAISS prints a warning when a centroid has fewer than 39 training points; the measured recall tells more, and a
// library prints nothing. Polysemous codes cost 50 s of training for 20,000 x 128 and serve a search mode that is not
// used here.
void quieten(faiss::Index *index)
{
    faiss::Index *c = core(index);

    if (auto *ivf = dynamic_cast<faiss::IndexIVF *>(c)) {
        ivf->cp.min_points_per_centroid = 1;
        if (auto *inner = ivf->quantizer)
            quieten(inner);
    }
    if (auto *pq = dynamic_cast<faiss::IndexIVFPQ *>(c)) {
        pq->do_polysemous_training = false;
        pq->pq.cp.min_points_per_centroid = 1;
    }
    if (auto *pq = dynamic_cast<faiss::IndexPQ *>(c)) {
        pq->do_polysemous_training = false;
        pq->pq.cp.min_points_per_centroid = 1;
    }
}

struct memory_writer : faiss::IOWriter {
    char *data = nullptr;
    size_t n = 0, cap = 0;

    ~memory_writer() noexcept(false) override
    {
        free(data);
    }
    size_t operator()(const void *p, size_t size, size_t items) override
    {
        size_t bytes = size * items;

        if (bytes == 0)
            return items;
        if (n + bytes > cap) {
            size_t room = std::max(n + bytes, cap + cap / 2);
            char *q = static_cast<char *>(realloc(data, room));

            if (!q)
                throw std::bad_alloc();
            data = q;
            cap = room;
        }
        memcpy(data + n, p, bytes);
        n += bytes;
        return items;
    }
};

struct memory_reader : faiss::IOReader {
    const char *data;
    size_t n, at = 0;

    memory_reader(const void *p, size_t bytes) : data(static_cast<const char *>(p)), n(bytes)
    {
    }
    size_t operator()(void *p, size_t size, size_t items) override
    {
        size_t can = size ? std::min(items, (n - at) / size) : 0;

        if (can) {
            memcpy(p, data + at, can * size);
            at += can * size;
        }
        return can;
    }
};

} // namespace

extern "C" {

int cts_faiss_create(cts_faiss **out, size_t dim, const char *factory)
{
    return guarded(CTS_E_INPUT, "making an index of that type", [&] {
        std::unique_ptr<cts_faiss> f(new cts_faiss);

        f->index.reset(faiss::index_factory(static_cast<int>(dim), factory, faiss::METRIC_INNER_PRODUCT));
        quieten(f->index.get());
        *out = f.release();
    });
}

void cts_faiss_destroy(cts_faiss *f)
{
    delete f;
}

int cts_faiss_train(cts_faiss *f, size_t n, const float *rows, int n_threads)
{
    return guarded(CTS_E_INPUT, "training", [&] {
        omp_set_num_threads(n_threads);
        f->index->train(static_cast<int64_t>(n), rows);
    });
}

int cts_faiss_add(cts_faiss *f, size_t n, const float *rows, int n_threads)
{
    return guarded(CTS_E_INPUT, "adding vectors", [&] {
        omp_set_num_threads(n_threads);
        f->index->add(static_cast<int64_t>(n), rows);
    });
}

int cts_faiss_search(const cts_faiss *f, size_t n, const float *queries, size_t k, float *scores, int64_t *rows,
                     int n_threads)
{
    return guarded(CTS_E_INPUT, "searching", [&] {
        const faiss::Index *index = f->index.get();
        faiss::SearchParametersHNSW graph;
        const faiss::SearchParameters *params = nullptr;

        omp_set_num_threads(n_threads);
        // A graph search returns at most efSearch hits.
        if (auto *hnsw = dynamic_cast<const faiss::IndexHNSW *>(index)) {
            graph.efSearch = std::max(hnsw->hnsw.efSearch, static_cast<int>(k));
            params = &graph;
        }
        index->search(static_cast<int64_t>(n), queries, static_cast<int64_t>(k), scores, rows, params);
    });
}

int cts_faiss_set_effort(cts_faiss *f, int effort, int *now)
{
    return guarded(CTS_E_INPUT, "setting the search effort", [&] {
        faiss::Index *c = core(f->index.get());

        *now = 0;
        if (auto *ivf = dynamic_cast<faiss::IndexIVF *>(c)) {
            if (effort > 0)
                ivf->nprobe = std::min(static_cast<size_t>(effort), ivf->nlist);
            *now = static_cast<int>(ivf->nprobe);
        } else if (auto *hnsw = dynamic_cast<faiss::IndexHNSW *>(c)) {
            if (effort > 0)
                hnsw->hnsw.efSearch = effort;
            *now = hnsw->hnsw.efSearch;
        }
    });
}

size_t cts_faiss_count(const cts_faiss *f)
{
    return static_cast<size_t>(f->index->ntotal);
}

size_t cts_faiss_dim(const cts_faiss *f)
{
    return static_cast<size_t>(f->index->d);
}

int cts_faiss_write(const cts_faiss *f, void **data, size_t *n)
{
    return guarded(CTS_E_INPUT, "serialising", [&] {
        memory_writer w;

        faiss::write_index(f->index.get(), &w);
        *data = w.data;
        *n = w.n;
        w.data = nullptr;
    });
}

int cts_faiss_read(cts_faiss **out, const void *data, size_t n)
{
    return guarded(CTS_E_FORMAT, "reading a stored index", [&] {
        memory_reader r(data, n);
        std::unique_ptr<cts_faiss> f(new cts_faiss);

        f->index.reset(faiss::read_index(&r));
        *out = f.release();
    });
}

} // extern "C"
