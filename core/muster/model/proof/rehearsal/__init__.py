"""Rehearsal: a recorded history is played again under other rules, to see what would have become of it."""
