"""The model: what Muster means, as values and functions of values. No I/O, no clock, no randomness."""
