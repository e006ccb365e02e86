"""CUDA for a plan and for its own sake: nvcc, its host compiler, the libraries, the GPU."""
