// Reads the rows of a key/value cache that lie in blocks, in the order of a block table.
// The host part is in src/lib.rs.

#include "layout.cuh"

extern "C" __global__ void gather_rows(const float *cache, const unsigned *table, float *out,
                                       unsigned rows, unsigned block_rows, unsigned dim) {
    const unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < rows * dim) {
        out[i] = cache[cache_index(table, i / dim, block_rows, dim) + i % dim];
    }
}

// Scaled scores of one query against the cached keys.
extern "C" __global__ void attention_scores(const float *query, const float *keys,
                                            const unsigned *table, float *scores, unsigned rows,
                                            unsigned block_rows, unsigned dim) {
    const unsigned row = blockIdx.x * blockDim.x + threadIdx.x;
    if (row >= rows) {
        return;
    }
    const float *key = keys + cache_index(table, row, block_rows, dim);
    float sum = 0.0f;
    for (unsigned i = 0; i < dim; ++i) {
        sum += query[i] * key[i];
    }
    scores[row] = sum * rsqrtf(static_cast<float>(dim));
}
