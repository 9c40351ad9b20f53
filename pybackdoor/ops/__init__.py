"""Fast primitives, each with its reference beside it."""
