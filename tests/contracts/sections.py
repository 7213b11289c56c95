"""What every section of a page is held to, whoever brought it: a new one brings its name, and pages."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from nn_assets.reports.page import DailyPage, StudyPage, daily_page, study_page
from nn_assets.reports.sections import SECTIONS

EVIL = "<script>alert(1)</script>"
_VOID = {"meta", "link", "img", "br"}


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        del attrs
        self.tags.append(tag)
        if tag not in _VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open
        assert self.open.pop() == tag


def written(page: StudyPage | DailyPage) -> str:
    return study_page(page) if isinstance(page, StudyPage) else daily_page(page)


class SectionContract:
    """A member gives ``title`` of what it shows, ``page`` with that, and ``evil``: a page whose data are markup.

    ``silent`` is a page without anything for it; None where it says even then that there is nothing.
    """

    title: str

    @pytest.fixture
    def name(self) -> str:
        raise NotImplementedError

    @pytest.fixture
    def page(self, name: str) -> StudyPage | DailyPage:
        raise NotImplementedError

    @pytest.fixture
    def evil(self, name: str) -> StudyPage | DailyPage:
        raise NotImplementedError

    @pytest.fixture
    def silent(self, name: str) -> StudyPage | DailyPage | None:
        raise NotImplementedError

    def heading(self) -> str:
        return rf"<h3>{re.escape(self.title)}[^<]*</h3>"

    def test_it_shows_what_it_has_once_and_closes_what_it_opens(self, page: StudyPage | DailyPage) -> None:
        html = written(page)
        assert len(re.findall(self.heading(), html)) == 1
        tags = _Tags()
        tags.feed(html)
        assert tags.open == []

    def test_it_belongs_to_the_kind_of_page_that_it_states(self, name: str, page: StudyPage | DailyPage) -> None:
        assert SECTIONS[name].page == ("study" if isinstance(page, StudyPage) else "session")

    def test_what_data_say_is_never_markup(self, evil: StudyPage | DailyPage) -> None:
        html = written(evil)
        tags = _Tags()
        tags.feed(html)
        assert "script" not in tags.tags
        assert "&lt;script&gt;" in html

    def test_it_is_silent_without_data(self, silent: StudyPage | DailyPage | None) -> None:
        if silent is not None:
            assert not re.findall(self.heading(), written(silent))
