"""What was made before and is not made again: running an execution again in part, and the result cache."""
