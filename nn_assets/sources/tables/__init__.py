"""Files of all kinds: bars, bars within a session, actions, series, membership; CSV, Parquet and archives of them."""
