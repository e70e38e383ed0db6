"""What PyTorch's operators do not do in cache, compiled for CPUs with numba; float32, one thread."""
