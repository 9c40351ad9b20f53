"""Measurements of this package on this machine: ceilings, rooflines, sweeps."""
