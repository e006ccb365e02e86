#pragma once

// Where a row of the sequence begins in the cache.
static __device__ __forceinline__ size_t cache_index(const unsigned *table, unsigned row,
                                                     unsigned block_rows, unsigned dim) {
    const size_t slot = static_cast<size_t>(table[row / block_rows]) * block_rows;
    return (slot + row % block_rows) * dim;
}
