"""The families oracles are listed by: the sections of docs/oracles.md."""

CLOSED = "Closed and semi-closed forms"
ONE_DIMENSION = "Options by finite differences in one dimension"
TWO_DIMENSIONS = "Options by finite differences in two dimensions"
MONTE_CARLO = "Options by Monte Carlo"
BEYOND = "Partial differential equations beyond finance"
TEST_FUNCTIONS = "Test functions"
OWN = "Your own functions, and QuantLib's"

FAMILIES = (CLOSED, ONE_DIMENSION, TWO_DIMENSIONS, MONTE_CARLO, BEYOND, TEST_FUNCTIONS, OWN)
