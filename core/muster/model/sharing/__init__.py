"""What is shared out: keys that are taken in turns, and how many steps and calls an execution may begin."""
