"""Which cost model is in force, and its recalibration from fills."""
