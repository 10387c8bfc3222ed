"""The command line: ``muster``."""
