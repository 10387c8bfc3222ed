"""Contents of files: where they are kept, and how they are read and written a piece at a time."""
