"""Tables taken in and published: bars, splits and dividends, other series, the universe, bars within the session.

Takes what a source delivers. Gives versions appended to the lake, and publications.
"""
