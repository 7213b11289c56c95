"""Models fitted and put on record, what they forecast, and what drift is measured against."""
