"""Formulas on single numbers, shared by the CPU kernels and device kernels."""
