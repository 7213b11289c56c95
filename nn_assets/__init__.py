"""Market bars to validated data, walk-forward networks, sized positions and oversight, on Dagster.

Three things kept apart: the *domain* (pure functions over arrays, no clock, no file, no Dagster), the
*stores* (the lake of Parquet files, the ledger of decisions) and the *orchestration* (Dagster assets
that load, call one domain function, and store). The rooms, in import order, each with its charter in
its ``__init__``: market, features, learning, signals, costs, portfolio, execution, oversight,
evaluation, reports, simulator, store, sources, orchestration.
"""
