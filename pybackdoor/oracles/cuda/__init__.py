"""Kernels of oracles for CUDA devices, from the scalar functions that the CPU computes with. Its modules import numba.cuda: load them when needed."""
