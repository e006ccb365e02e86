// Rotary position embedding, in place: turns the pair (x[i], x[i + dim / 2]) of each row.

#include "device.cuh"

static __global__ void rotate(float *rows, unsigned count, unsigned dim, float base) {
    const unsigned half_dim = dim / 2;
    const unsigned t = blockIdx.x * blockDim.x + threadIdx.x;
    if (t >= count * half_dim) {
        return;
    }
    const unsigned position = t / half_dim;
    const unsigned i = t % half_dim;
    const float angle = position * powf(base, -2.0f * i / dim);
    float sine, cosine;
    sincosf(angle, &sine, &cosine);
    float *row = rows + static_cast<size_t>(position) * dim;
    const float a = row[i];
    const float b = row[i + half_dim];
    row[i] = a * cosine - b * sine;
    row[i + half_dim] = a * sine + b * cosine;
}

extern "C" int mistralrs_quant_rotate(float *rows, unsigned count, unsigned dim, float base) {
    const unsigned pairs = count * (dim / 2);
    if (pairs == 0) {
        return cudaSuccess;
    }
    DeviceBuffer<float> device_rows(static_cast<size_t>(count) * dim);
    RETURN_ON_ERROR(device_rows.upload(rows));
    const unsigned threads = 256;
    rotate<<<(pairs + threads - 1) / threads, threads>>>(device_rows.data(), count, dim, base);
    RETURN_ON_ERROR(cudaGetLastError());
    RETURN_ON_ERROR(device_rows.download(rows));
    return cudaSuccess;
}
