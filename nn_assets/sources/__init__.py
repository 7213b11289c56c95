"""Where bars come from: files, databases, vendors, the bundled sample, the simulator, behind one small protocol.

The only home of network access.

Takes symbols and a span. Gives frames of bars with source and known_at.
Never returns an empty success.
"""
