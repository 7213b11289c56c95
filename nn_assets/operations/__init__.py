"""Operations: what loads from the stores, calls the domain and stores again.

Takes the stores and a strategy. Gives what a command, an asset and a notebook share: tables taken in, models
fitted, studies made, sessions decided, pages written. Never imports Dagster, never prints.
"""
