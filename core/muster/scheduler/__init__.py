"""The scheduler: the pure decider of ``muster.model`` in a thin shell of reading, electing, appending and
sending.
"""
