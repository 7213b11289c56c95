"""Tables taken in and published: bars, splits and dividends, other series, the universe, bars within the session.

Takes what a source delivers. Gives what every version of it says, as known at a moment; and publications.
"""
