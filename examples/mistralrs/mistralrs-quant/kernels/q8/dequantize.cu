// Blockwise 8-bit numbers back to floats: one scale for each block of values.
// Launchers return a cudaError_t; all pointers are to host memory.

#include <cstdint>

#include "device.cuh"

static __global__ void dequantize_q8(const int8_t *values, const float *scales, float *out,
                                     unsigned count, unsigned block) {
    const unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < count) {
        out[i] = static_cast<float>(values[i]) * scales[i / block];
    }
}

extern "C" int mistralrs_quant_dequantize_q8(const int8_t *values, const float *scales, float *out,
                                             unsigned count, unsigned block) {
    if (count == 0) {
        return cudaSuccess;
    }
    if (block == 0) {
        return cudaErrorInvalidValue;
    }
    DeviceBuffer<int8_t> device_values(count);
    DeviceBuffer<float> device_scales((count + block - 1) / block);
    DeviceBuffer<float> device_out(count);
    RETURN_ON_ERROR(device_values.upload(values));
    RETURN_ON_ERROR(device_scales.upload(scales));
    RETURN_ON_ERROR(device_out.status());
    const unsigned threads = 256;
    dequantize_q8<<<(count + threads - 1) / threads, threads>>>(
        device_values.data(), device_scales.data(), device_out.data(), count, block);
    RETURN_ON_ERROR(cudaGetLastError());
    RETURN_ON_ERROR(device_out.download(out));
    return cudaSuccess;
}

// Stores the number of devices and returns the error, which without a driver is not 0.
extern "C" int mistralrs_quant_device_count(int *count) {
    *count = 0;
    return static_cast<int>(cudaGetDeviceCount(count));
}

// The text has static lifetime.
extern "C" const char *mistralrs_quant_error_text(int error) {
    return cudaGetErrorString(static_cast<cudaError_t>(error));
}
