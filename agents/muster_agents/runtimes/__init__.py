"""What an agent runs attempts with: containers of Docker, plain processes, or nothing."""
