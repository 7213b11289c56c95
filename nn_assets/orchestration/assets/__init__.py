"""Wings with partitioned assets, one module each; those of tables alone are in ``operations/wings``."""
