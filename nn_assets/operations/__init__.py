"""Operations: what loads from the stores, calls the domain and stores again.

Takes the stores and a strategy. Gives what a command, an asset and a notebook share: tables taken in, models
fitted, studies made, sessions decided, pages written, and of each the plain figures that an operator sees: numbers,
sentences, frames, PNG bytes, files. Never imports Dagster, never prints.
"""
