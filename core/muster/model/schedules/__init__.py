"""Workflows that are run again and again: when they are due, and what is done then."""
