"""Market bars to validated data, walk-forward networks, sized positions and oversight, on Dagster.

Four things kept apart: the *domain* (pure functions over arrays, no clock, no file, no Dagster), the *stores* (the
lake of Parquet files, the ledger of decisions), the *operations* (what loads from the stores, calls the domain and
stores again, without Dagster) and the *orchestration* (Dagster assets, each of which asks operations for one thing).
What each room takes, gives and never does is in its ``__init__``; ``docs/code.md`` lists them (*Where things are*).
"""
