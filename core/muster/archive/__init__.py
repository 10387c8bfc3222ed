"""Where executions go that ended long ago, and reading the past across that border (docs/archive.md)."""
