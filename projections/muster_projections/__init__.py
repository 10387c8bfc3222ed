"""The projections: fold the log into views that anyone can query, rebuild and verify."""
