"""The fold of the log into the scheduler's state, and the decisions made from it."""
