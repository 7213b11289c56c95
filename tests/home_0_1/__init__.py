"""The home of version 0.1, made by the code of commit 031b0d1; every later version must open it and go on with it.

``home.tar.gz`` holds what an operator's home held then, made by ``make_home.py``, which says how each thing came
about and is not run again. Two strategies live from CSV files within the home, on made-up markets:

- ``house``: five symbols, a file each, some with awkward names (CON, TRUE, BRK.B, NAN). Ten decided sessions,
  2016-06-13 to 2016-06-24, with positions, 36 orders and 29 paper fills; four more, to 2016-06-30, are undecided.
  The vault begins on 2016-07-01: the files go on to 2016-07-15, the lake does not.
- ``pair``: six symbols in one long file, label relative to the day's median, a dollar-neutral book that opened
  nothing. Three decided sessions, 2016-06-23 to 2016-06-27; three are undecided.

What happened in ``house``, in order: a study; four sessions; then a bar of March and one of a decided session were
restated (second versions in ``raw_bars``), and a dividend before a decided session was told late; two sessions; the
kill switch at HALTED for the session of 2016-06-21, then released; two sessions; three fills of a broker imported
(``broker_fills.csv``); one session. A split (TRUE, 2016-06-16) and a dividend (KO, 2016-06-21) fell into the live
sessions, one of each lies in history, and one impossible price is in quarantine. In ``pair`` the bar of BB of
2016-06-24 states that it was known on 2016-06-27: the session of its day has no signal for it.

Left out: Dagster's own runs (``dagster/``), pages (``reports/``), and locks. The write-ahead log is folded into
``ledger.sqlite``. The one trace of the place where the home was made is ``path`` in
``lake/*/raw_bars/files_read.json``, ``/srv/nn_assets_home/strategies/...``; a home that was moved reads its files once
more and finds nothing new in them.
"""
