"""The lake (Parquet; what is derived can be rebuilt), the ledger (SQL, append-only, hash-chained), the model store.

Takes frames and records. Gives them back as they were known.
Never updates, never deletes, never pickles, never leaves half a file.
"""
