"""The tests of Muster. How they are laid out, and what they may use: CONTRIBUTING.md."""
