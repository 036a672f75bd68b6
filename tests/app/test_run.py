"""The real program, in a process of its own."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request

import pytest

from gpc_studio.scenes import load_task

SMALL = ("--samples", "8", "--horizon", "0.4")
ANSWER_SECONDS = 120.0  # until a line must have come, on a machine busy with other things


class Program:
    """`gpc-studio` without a terminal, its lines collected as they come."""

    def __init__(self, *args, **environ):
        self.process = subprocess.Popen(
            [sys.executable, "-m", "gpc_studio", *args],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env={**os.environ, **environ},
        )  # fmt: skip
        self.lines = {"stdout": [], "stderr": []}
        self.threads = [threading.Thread(target=self._read, args=(name,)) for name in self.lines]
        for thread in self.threads:
            thread.start()

    def _read(self, name):
        for line in getattr(self.process, name):
            self.lines[name].append(line.rstrip("\n"))

    def wait_for(self, text, name="stdout"):
        deadline = time.monotonic() + ANSWER_SECONDS
        while time.monotonic() < deadline:
            found = [line for line in self.lines[name] if text in line]
            if found:
                return found[0]
            assert self.process.poll() is None, self.lines
            time.sleep(0.02)
        raise AssertionError(f"no {text!r} in {self.lines}")

    def end(self):
        code = self.process.wait(ANSWER_SECONDS)
        for thread in self.threads:
            thread.join()
        return code

    def interrupt(self, number=signal.SIGINT):
        self.process.send_signal(number)
        return self.end()


@pytest.fixture
def program(tmp_path_factory):
    started = []

    def start(*args, **environ):
        started.append(Program(*args, **environ))
        return started[-1]

    yield start
    for one in started:
        if one.process.poll() is None:
            one.process.kill()
        one.end()


def test_headless_prints_status_and_ends(program):
    run = program("--headless", "--task", "cart_pole", "--seconds", "2.5", *SMALL)
    assert run.end() == 0
    lines = run.lines["stdout"]
    assert len(lines) >= 2
    for line in lines:
        for word in ("time", "cost", "rate", "success"):
            assert word in line
    assert float(lines[-1].split()[1]) >= 2.5
    assert run.lines["stderr"] == []


def test_headless_lock_step_does_not_wait_for_the_clock(program):
    began = time.monotonic()
    run = program(
        "run", "--headless", "--mode", "lock-step", "--seconds", "120", "--rate", "10", *SMALL
    )
    assert run.end() == 0
    assert time.monotonic() - began < 110
    last = run.lines["stdout"][-1]
    assert float(last.split()[1]) == pytest.approx(120.0, abs=0.01)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_page_is_served_at_the_one_line_printed(program, number):
    run = program("--port", "0", *SMALL)
    line = run.wait_for("GPC Studio at ")
    assert line.endswith("(Ctrl+C stops)")
    url = line.split()[3]
    with urllib.request.urlopen(url, timeout=30) as page:
        assert b"<html" in page.read().lower()
    assert run.interrupt(number) == 0
    assert run.lines == {"stdout": [line], "stderr": []}


def test_a_compilation_is_not_waited_for(program, tmp_path):
    run = program(
        "--port", "0", "--task", "double_cart_pole", XDG_CACHE_HOME=str(tmp_path),
        JAX_COMPILATION_CACHE_DIR=str(tmp_path),
    )  # fmt: skip
    run.wait_for("GPC Studio at ")
    began = time.monotonic()
    assert run.interrupt() == 0
    assert time.monotonic() - began < 6.0


def test_seconds_end_the_page_too(program):
    run = program("--port", "0", "--seconds", "1", *SMALL)
    assert run.end() == 0
    assert len(run.lines["stdout"]) == 1


def test_beyond_this_machine_the_url_has_a_token(program):
    run = program("--port", "0", "--host", "0.0.0.0", *SMALL)
    assert "?token=" in run.wait_for("GPC Studio at ")
    assert run.interrupt() == 0


def test_a_token_of_the_users_own_is_required_here_too(program, tmp_path):
    config = tmp_path / "run.yaml"
    config.write_text("token: correct-horse-battery\n")
    run = program("--port", "0", "--config", str(config), *SMALL)
    url = run.wait_for("GPC Studio at ").split()[3]
    assert url.endswith("/?token=correct-horse-battery")
    with urllib.request.urlopen(url, timeout=30) as page:
        assert page.status == 200
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(url.partition("?")[0], timeout=30)
    assert run.interrupt() == 0


def test_a_busy_port_is_told(program):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        run = program("--port", str(port), *SMALL)
        assert run.end() == 2
    (line,) = run.lines["stderr"]
    assert f"port {port}" in line
    assert "--port" in line
    assert run.lines["stdout"] == []


OWN = """
from gpc_studio.scenes.pendulum.task import Pendulum

class Own(Pendulum):
    name = "own"
    title = "My own"
    mjcf = {mjcf!r}

    def cost_terms(self, state, control):
        return {{**super().cost_terms(state, control), {more}}}
"""


def test_a_mistake_in_a_task_file_is_told_and_mended(program, tmp_path):
    path = tmp_path / "own.py"
    mjcf = str(load_task("pendulum").model_path)
    path.write_text(OWN.format(mjcf=mjcf, more='"angle": state.qposs[0]'))
    run = program("--port", "0", "--task", str(path), *SMALL)
    run.wait_for("GPC Studio at ")
    line = run.wait_for("own.py:10", "stderr")
    assert "qposs" in line
    path.write_text(OWN.format(mjcf=mjcf, more='"angle": state.qpos[0] ** 2'))
    time.sleep(2.0)
    path.write_text(OWN.format(mjcf=mjcf, more='"angle": state.qvels[0]'))
    again = run.wait_for("qvels", "stderr")
    assert "own.py:10" in again
    assert run.interrupt() == 0


def test_a_mistake_in_a_task_file_is_told_beside_a_flag_that_is_unknown_for_it(program, tmp_path):
    path = tmp_path / "own.py"
    path.write_text("import nothing_of_this_name\n")
    run = program("--task", str(path), "--weights.own", "2")
    assert run.end() == 2
    assert "own.py:1" in run.lines["stderr"][-1]


def test_a_mistake_in_a_task_file_ends_a_run_without_page(program, tmp_path):
    path = tmp_path / "own.py"
    path.write_text("import nothing_of_this_name\n")
    run = program("--headless", "--task", str(path))
    assert run.end() == 2
    assert "own.py:1" in "\n".join(run.lines["stderr"])
    assert "Traceback" not in "\n".join(run.lines["stderr"])
