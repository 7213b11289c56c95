"""Months: models fitted and put on record, the study of what they forecast, the cost model in force."""
