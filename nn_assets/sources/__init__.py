"""One module per vendor, all behind one small protocol. The only home of network access.

Takes symbols and a span. Gives frames of bars with source and known_at.
Never returns an empty success.
"""
