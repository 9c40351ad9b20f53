"""Fast primitives, each with its definition in plain torch beside it; they stand alone (docs/primitives.md has examples).

`ops.ascent`: many seeds climb the squared error of a network (`ascend`), values with input gradients (`value_and_input_gradient`), and the same as a
node of torch's graph (`values`). `ops.train`: many small networks trained in one native call (`train`, `initial_state`). `ops.philox`: random numbers
as a function of seed, purpose, stream and index.
"""
