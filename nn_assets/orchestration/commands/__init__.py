"""What a person asks for from the command line. Headless runs go through Dagster all the same."""
