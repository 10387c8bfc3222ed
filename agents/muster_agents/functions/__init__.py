"""Functions: containers that are loaded once and called many times."""
