"""Networks: layers only, each from (batch, lookback, features) to one logit per row."""
