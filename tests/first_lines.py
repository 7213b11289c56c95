"""First lines and what stands below them, as one sentence: that nothing is lost is read off it."""

from __future__ import annotations

from itertools import takewhile

from nn_assets.oversight.headline import Headline

LONGEST = 200


def in_one_sentence(said: str | Headline, longest: int | None = LONGEST) -> str:
    """All that the lines of a strategy say of whether it trades; of a text that goes on, those that come first.

    Every first line is held to its length here; None holds it to none.
    """
    first, *others = str(said).splitlines()
    assert longest is None or len(first) <= longest, first
    below = list(takewhile(lambda line: line.strip().startswith(("why  ", "to do  ")), others))
    if not below:
        return first
    whys = [line.strip().removeprefix("why").strip() for line in below if line.strip().startswith("why ")]
    person = [line.strip().removeprefix("to do").strip() for line in below if line.strip().startswith("to do ")]
    needed = f"A person is needed: {'; '.join(person)}" if person else "No action needed"
    word, _, _ = first.partition(": ")
    return f"{word}: {'; '.join(whys)}. {needed}."
