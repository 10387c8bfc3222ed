"""CEL in `${{ }}`: what may stand there, what it costs at most, and evaluating it."""
