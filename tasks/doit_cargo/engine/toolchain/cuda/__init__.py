"""The CUDA toolkit, its libraries and the GPUs of this computer."""
