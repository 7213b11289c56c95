"""Assets, one module per room."""
