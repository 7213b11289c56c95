"""What ``nn-assets ui`` starts: Dagster on the packaged workspace, with a folder of its own in the home."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from nn_assets.cli import ui
from nn_assets.errors import InstallationError
from nn_assets.store.home import instance_root

PORT = 43210


class Recorded:
    """A server that ends at once, and what it was started with."""

    started: tuple[Any, ...]
    listened_on: tuple[str, int]
    status = 0

    def __init__(self, command: list[str], **how: Any) -> None:
        Recorded.started = (command, how)
        with socket.socket(fileno=os.dup(how["pass_fds"][0])) as listener:
            Recorded.listened_on = listener.getsockname()
        self.pid = 2**22 + 1  # above what Linux gives

    def wait(self, *_: float) -> int:
        return self.status

    def terminate(self) -> None:
        pass


@pytest.fixture
def started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[list[str], dict[str, Any]]:
    monkeypatch.setenv("NN_ASSETS_HOME", str(tmp_path))
    monkeypatch.setenv("DAGSTER_HOME", "/somebody/elses")
    with monkeypatch.context() as patched:
        patched.setattr(ui.subprocess, "Popen", Recorded)
        patched.setattr(ui.signal, "signal", lambda *_: None)
        ui.serve_ui(PORT)
    return Recorded.started


def test_what_dagster_writes_beside_its_configuration_lies_in_the_home(started, tmp_path) -> None:
    # Its webserver makes logs/ and .logs_queue/ in DAGSTER_HOME: a checkout or site-packages is no place for them.
    folder = Path(started[1]["env"]["DAGSTER_HOME"])
    assert tmp_path in folder.parents
    assert folder != tmp_path / "dagster"  # whose logs/ are what steps printed
    configuration = yaml.safe_load((folder / "dagster.yaml").read_text(encoding="utf-8"))
    assert configuration == yaml.safe_load((instance_root() / "dagster.yaml").read_text(encoding="utf-8"))


def test_a_configuration_of_an_older_version_is_replaced(started, tmp_path, monkeypatch) -> None:
    file = Path(started[1]["env"]["DAGSTER_HOME"]) / "dagster.yaml"
    assert tmp_path in file.parents  # before it is written to: never a checkout's
    file.write_text("telemetry: {enabled: true}\n", encoding="utf-8")
    monkeypatch.setattr(ui.subprocess, "Popen", Recorded)
    monkeypatch.setattr(ui.signal, "signal", lambda *_: None)
    ui.serve_ui(PORT)
    assert file.read_bytes() == (instance_root() / "dagster.yaml").read_bytes()


def test_it_is_the_dagster_of_this_python_on_a_socket_of_the_loopback_address_alone(started) -> None:
    command, how = started
    assert command[:3] == [sys.executable, "-m", "nn_assets.cli.ui_server"]
    assert [str(descriptor) for descriptor in how["pass_fds"]] == command[3:]
    assert Recorded.listened_on == ("127.0.0.1", PORT)
    assert how["start_new_session"] is True
    assert how["stdin"] == subprocess.PIPE  # which ends with this process, and the server with it


@pytest.mark.parametrize("port", ["free", "the same, which is listened on"])
def test_a_second_ui_of_a_home_names_the_first_and_starts_nothing(tmp_path, monkeypatch, port: str) -> None:
    monkeypatch.setenv("NN_ASSETS_HOME", str(tmp_path))
    monkeypatch.setattr(ui.signal, "signal", lambda *_: None)
    refusals: list[str] = []

    class Living(Recorded):
        def wait(self, *_: float) -> int:
            if not refusals:
                with socket.socket() as listening:
                    if port != "free":
                        listening.bind(("127.0.0.1", PORT))
                        listening.listen()
                    monkeypatch.setattr(ui.subprocess, "Popen", None)
                    with pytest.raises(InstallationError) as refused:
                        ui.serve_ui(PORT + (port == "free"))
                    refusals.append(str(refused.value))
            return 0

    monkeypatch.setattr(ui.subprocess, "Popen", Living)
    ui.serve_ui(PORT)
    assert f"home {tmp_path}" in refusals[0]
    assert f"process {os.getpid()} on port {PORT}" in refusals[0]
    assert "end that process and start again" in refusals[0]
    monkeypatch.setattr(ui.subprocess, "Popen", Recorded)  # it has ended
    assert ui.serve_ui(PORT) == {"ok": True}


_STARTED = "import os, time; from nn_assets.operations.starter import end_with_starter; "
_STARTED += "end_with_starter(); print(os.getpid(), flush=True); time.sleep(60)"
_STARTER = "import os, subprocess, sys, time; how = sys.argv[2]; "
_STARTER += "os.environ.update({'NN_ASSETS_PROCESS_GROUP': str(os.getpgrp())} if how == 'names' else {}); "
_STARTER += "other = subprocess.Popen(['sleep', '60'], stdout=None if how == 'names' else subprocess.DEVNULL); "
_STARTER += "print(other.pid, flush=True); "
_STARTER += "subprocess.Popen([sys.executable, '-c', sys.argv[1]], stdin=subprocess.PIPE); time.sleep(60)"


@pytest.mark.parametrize("how", ["names", "leads"])
def test_what_a_killed_process_started_ends_with_it(how: str) -> None:
    """With the whole of a group that it named, and with nobody else of one that is a shell's."""
    starter = subprocess.Popen(
        [sys.executable, "-c", _STARTER, _STARTED, how], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert starter.stdout is not None
    other, started = int(starter.stdout.readline()), int(starter.stdout.readline())
    os.kill(started, 0)  # it is there
    starter.kill()
    killed = time.monotonic()
    assert starter.stdout.read() == ""  # which ends once no process has it open
    assert time.monotonic() - killed < 10.0
    if how == "leads":
        os.kill(other, signal.SIGKILL)  # no innocent ended
    starter.stdout.close()
    starter.wait()


@pytest.mark.parametrize("stdin", [subprocess.DEVNULL, None])
def test_a_process_started_by_hand_ends_nobody(stdin: int | None) -> None:
    """As cron starts it, with nothing to read; and with standard input closed."""
    script = "from nn_assets.operations.starter import end_with_starter; import time; "
    script += "end_with_starter(); time.sleep(0.3); print('lives')"
    closed = "exec 0<&-; " if stdin is None else ""
    done = subprocess.run(
        ["sh", "-c", f'{closed}"$1" -c "$2"; echo after', "sh", sys.executable, script],
        stdin=stdin,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
        check=False,
    )
    assert (done.stdout.split(), done.returncode) == (["lives", "after"], 0)


def test_the_listener_is_no_standard_stream_where_one_is_closed() -> None:
    """Else the pipe by which the server hears of its starter's end would take its place."""
    kept = os.dup(0)
    os.close(0)
    try:
        with ui._bound(0) as listener:
            assert listener.fileno() > 2
            assert listener.getsockname()[0] == "127.0.0.1"
    finally:
        os.dup2(kept, 0)
        os.close(kept)


def test_a_port_that_is_taken_is_named_with_what_to_do(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("NN_ASSETS_HOME", str(tmp_path))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(InstallationError, match=rf"port {port} .*--port"):
            ui.serve_ui(port)
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_ends_in_a_fault_is_told(started, monkeypatch) -> None:
    monkeypatch.setattr(ui.subprocess, "Popen", Recorded)
    monkeypatch.setattr(ui.signal, "signal", lambda *_: None)
    for status, ok in ((0, True), (1, False), (-9, False)):
        monkeypatch.setattr(Recorded, "status", status)
        assert ui.serve_ui(PORT) == {"ok": ok}
