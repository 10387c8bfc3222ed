"""The log as proof: recordings, replaying them, what-if, and what may be shown of them to others."""
