// Attention of one query for each thread, in one pass over the keys: the softmax is
// corrected whenever a larger score turns up. The host version is src/attention/flash.rs.

#include <cuda_runtime.h>

static const unsigned MAX_DIM = 64;

extern "C" __global__ void flash_attention(const float *queries, const float *keys,
                                           const float *values, float *out, unsigned query_count,
                                           unsigned rows, unsigned dim) {
    const unsigned q = blockIdx.x * blockDim.x + threadIdx.x;
    if (q >= query_count || dim > MAX_DIM) {
        return;
    }
    const float *query = queries + q * dim;
    float sum[MAX_DIM] = {};
    float largest = -INFINITY;
    float weight = 0.0f;
    for (unsigned row = 0; row < rows; ++row) {
        float score = 0.0f;
        for (unsigned i = 0; i < dim; ++i) {
            score += query[i] * keys[row * dim + i];
        }
        score *= rsqrtf(static_cast<float>(dim));
        const float top = fmaxf(largest, score);
        const float correction = expf(largest - top);
        const float share = expf(score - top);
        weight = weight * correction + share;
        for (unsigned i = 0; i < dim; ++i) {
            sum[i] = sum[i] * correction + share * values[row * dim + i];
        }
        largest = top;
    }
    for (unsigned i = 0; i < dim; ++i) {
        out[q * dim + i] = weight > 0.0f ? sum[i] / weight : 0.0f;
    }
}
