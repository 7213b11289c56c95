"""What every vendor behind HTTP must refuse or survive. A member inherits ``VendorFaults`` beside the contract."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
import pytest

from nn_assets.errors import SourceError
from tests.sources.secrets import SECRET, refused
from tests.sources.vendor import Answer, Vendor, cut_off


class VendorFaults:
    """Give ``source`` (asks ``vendor``, with its policy) and ``vendor`` as fixtures, and ``variables``."""

    variables: tuple[str, ...] = ()
    """Environment variables that hold keys."""
    extra: str = ""
    """The optional extra that it needs; the source's name when empty."""

    @property
    def echo(self) -> str:
        """The key, as vendors repeat it in their answers; of vendors without a key there is none."""
        return SECRET if self.variables else "none"

    def test_a_rate_limit_is_waited_out_for_as_long_as_the_vendor_asks(self, vendor: Vendor, source) -> None:
        whole = source.bars()
        limited = Answer({"message": "slow down"}, 429, {"Retry-After": "17"})
        vendor.faults = [limited, replace(limited, headers={})]
        pd.testing.assert_frame_equal(source.bars(), whole)
        assert vendor.slept == [17.0, 2.0]

    def test_a_rate_limit_with_a_date_counts_from_the_answers_own_clock(self, vendor: Vendor, source) -> None:
        dates = {"Retry-After": "Fri, 05 Jan 2018 12:00:40 GMT", "Date": "Fri, 05 Jan 2018 12:00:00 GMT"}
        vendor.faults = [Answer({}, 429, dates)]
        source.bars()
        assert vendor.slept == [40.0]

    def test_a_wait_longer_than_allowed_is_an_error_at_once(self, vendor: Vendor, source, caplog) -> None:
        vendor.faults = [Answer({"message": "tomorrow"}, 429, {"Retry-After": "86400"})]
        error = refused(caplog, source.bars)
        assert error.where["rule"] == "rate_limit"
        assert "86400 s" in error.found
        assert vendor.slept == []

    def test_a_vendor_that_fails_and_recovers_is_asked_again(self, vendor: Vendor, source) -> None:
        whole = source.bars()
        vendor.faults = [Answer({}, 503), Answer(b"<html>bad gateway</html>", 502, kind="text/html"), Answer({}, 500)]
        pd.testing.assert_frame_equal(source.bars(), whole)
        assert vendor.slept == [1.0, 2.0, 4.0]

    def test_each_wait_is_told_in_one_line_without_what_the_vendor_said(self, vendor: Vendor, source, caplog) -> None:
        caplog.set_level("INFO", logger="nn_assets.sources")
        vendor.faults = [
            Answer({"message": f"see {vendor.url}/{self.echo}"}, 503),
            Answer({}, 429, {"Retry-After": "9"}),
        ]
        source.bars()
        messages = [record.getMessage() for record in caplog.records if record.name.startswith("nn_assets.sources")]
        assert [line.partition(": HTTP")[2] for line in messages] == [
            " 503; asking again in 1 s, attempt 2 of 7",
            " 429; asking again in 9 s, attempt 3 of 7",
        ]
        assert all(line.startswith(source.name) for line in messages)
        assert "//" not in "".join(messages)

    def test_a_vendor_that_stays_down_is_an_error_after_seven_attempts(self, vendor: Vendor, source, caplog) -> None:
        vendor.faults = [Answer({"message": f"down {self.echo}"}, 503)] * 20
        error = refused(caplog, source.bars)
        assert error.where["rule"] == "vendor_available"
        assert str(error.where["source"]).startswith(source.name)
        assert len(vendor.asked) == 7
        assert vendor.slept == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0]

    def test_an_answer_cut_off_is_asked_for_again_and_never_delivered(self, vendor: Vendor, source, caplog) -> None:
        whole = source.bars()
        vendor.faults = [cut_off({"results": list(range(500))})]
        pd.testing.assert_frame_equal(source.bars(), whole)
        assert vendor.slept == [1.0]
        vendor.faults = [cut_off({"results": list(range(500))})] * 20
        assert refused(caplog, source.bars).where["rule"] in ("complete_answer", "reachable")

    def test_json_that_ends_early_is_a_cut_off_answer(self, vendor: Vendor, source, caplog) -> None:
        vendor.faults = [Answer(b'{"results": [{"t": 15149')] * 20
        assert refused(caplog, source.bars).where["rule"] == "complete_answer"

    @pytest.mark.parametrize("kind", ["text/html", "text/html; charset=utf-8"])
    def test_a_page_for_people_is_no_answer(self, vendor: Vendor, source, caplog, kind) -> None:
        vendor.faults = [Answer(b"<!doctype html><html>Please log in</html>", kind=kind)] * 20
        assert refused(caplog, source.bars).where["rule"] == "json_answer"
        assert vendor.slept == []

    def test_an_empty_body_is_no_answer(self, vendor: Vendor, source, caplog) -> None:
        vendor.faults = [Answer(b"")] * 20
        assert "an empty body" in refused(caplog, source.bars).found

    @pytest.mark.parametrize("status", [401, 403])
    def test_a_refused_key_is_an_error_at_once(self, vendor: Vendor, source, caplog, status) -> None:
        vendor.faults = [Answer({"message": f"Unknown API Key {self.echo}"}, status)]
        error = refused(caplog, source.bars)
        assert error.where["rule"] == "authorised"
        assert f"HTTP {status}" in error.found
        assert vendor.slept == []

    def test_a_vendor_that_does_not_answer_in_time_is_an_error(self, vendor: Vendor, impatient, caplog) -> None:
        vendor.faults = [Answer({}, silent=True)] * 20
        error = refused(caplog, impatient.bars)
        assert error.where["rule"] == "answers_in_time"
        assert len(vendor.slept) == 6

    def test_a_vendor_that_is_not_there_is_an_error(self, vendor: Vendor, unreachable, caplog) -> None:
        assert refused(caplog, unreachable.bars).where["rule"] == "reachable"
        assert len(vendor.slept) == 6

    @pytest.mark.parametrize("body", [{}, [], [1], {"results": "none"}, {"bars": 3}, None, 7])
    def test_an_answer_of_another_shape_is_an_error(self, vendor: Vendor, source, caplog, body) -> None:
        vendor.faults = [Answer(body)] * 20
        refused(caplog, source.bars)

    def test_keys_are_read_from_the_environment_when_data_are_asked_for(self, source, monkeypatch, caplog) -> None:
        for variable in self.variables:
            monkeypatch.delenv(variable)
            error = refused(caplog, source.bars)
            assert (error.where["rule"], error.where["key"]) == ("key_given", variable)
            monkeypatch.setenv(variable, "two lines\nof " + SECRET)
            assert refused(caplog, source.bars).where["rule"] == "key_given"
            monkeypatch.setenv(variable, SECRET)

    def test_keys_are_in_no_description_of_the_source(self, source) -> None:
        assert SECRET not in repr(source) + str(vars(source))

    def test_the_keys_reach_the_vendor_and_no_address(self, vendor: Vendor, source) -> None:
        source.bars()
        for request in vendor.asked:
            assert sum(SECRET in value for value in request.headers.values()) == len(self.variables)
            assert SECRET not in request.path + str(request.query)

    def test_without_its_optional_packages_the_command_that_installs_them_is_told(self, source, monkeypatch) -> None:
        for module in ("httpx", "ccxt", "yfinance"):
            monkeypatch.setitem(__import__("sys").modules, module, None)
        with pytest.raises(SourceError, match=rf"pip install .* -e '\.\[{self.extra or source.name}\]'") as caught:
            source.bars()
        assert caught.value.where["rule"] == "extra_installed"
