"""What a definition means: its steps in terms of the six primitives, and what goes into and comes out of them."""
