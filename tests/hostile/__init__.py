"""Input that was never meant to be read."""
