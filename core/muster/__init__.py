"""Muster: the model, the broker adapters, the scheduler, the client and the command line."""
