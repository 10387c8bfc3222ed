"""What people write: workflows, how they are read, checked, explained and drawn."""
