"""The words of the log: kinds of events, their envelope and subjects, commands, statuses and their transitions."""
