"""Market bars to validated data, walk-forward networks, sized positions and oversight, on Dagster.

Three things kept apart: the *domain* (pure functions over arrays, no clock, no file, no Dagster), the
*stores* (the lake of Parquet files, the ledger of decisions) and the *orchestration* (Dagster assets
that load, call one domain function, and store). What each room takes, gives and never does is in its ``__init__``;
the README lists them (*Where things are*).
"""
