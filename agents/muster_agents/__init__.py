"""The agent: runs attempts on one machine and appends what happened to the log."""
