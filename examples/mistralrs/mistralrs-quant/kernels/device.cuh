// Helpers of the host side of the launchers.
#pragma once

#include <cstddef>
#include <cuda_runtime.h>

// Device memory that frees itself.
template <typename T> class DeviceBuffer {
  public:
    explicit DeviceBuffer(size_t count)
        : status_(cudaMalloc(reinterpret_cast<void **>(&data_), count * sizeof(T))), count_(count) {
    }

    ~DeviceBuffer() {
        if (data_ != nullptr) {
            cudaFree(data_);
        }
    }

    DeviceBuffer(const DeviceBuffer &) = delete;
    DeviceBuffer &operator=(const DeviceBuffer &) = delete;

    cudaError_t upload(const T *host) {
        if (status_ != cudaSuccess) {
            return status_;
        }
        return cudaMemcpy(data_, host, count_ * sizeof(T), cudaMemcpyHostToDevice);
    }

    cudaError_t download(T *host) const {
        return cudaMemcpy(host, data_, count_ * sizeof(T), cudaMemcpyDeviceToHost);
    }

    cudaError_t status() const { return status_; }
    T *data() { return data_; }

  private:
    T *data_ = nullptr;
    cudaError_t status_;
    size_t count_;
};

#define RETURN_ON_ERROR(call)                                                                      \
    do {                                                                                           \
        const cudaError_t error_ = (call);                                                         \
        if (error_ != cudaSuccess) {                                                               \
            return static_cast<int>(error_);                                                       \
        }                                                                                          \
    } while (false)
