"""`gpc-studio bench --start`: from the command to the first plan on the screen, and swaps.

The program is started as a user starts it, in a process of its own. The page is opened in a
headless Chromium that runs already, as a user's browser does. Without one, the first plan counts
when it has come through a connection such as the page's.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from gpc_studio.app.errors import UsageError

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext

    from gpc_studio.app.session import Session

SWAP_TASK = "push_t"
SWAP_SAMPLES = (32, 48)
WARM_STARTS = 3

_LONGEST = 180.0  # s until the first plan must be there
_ENDING = 10.0  # s that the program gets to end
_CACHE = "jax_enable_compilation_cache"
_PLAN_NODE = "/plan/best"
_DRAWN = """
name => {
  const tree = window.__viserSceneTree;
  return tree && Object.keys(tree.getState()).some(node => node.endsWith(name));
}
"""
_TWO_FRAMES = """
() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(true))))
"""


class Start(NamedTuple):
    """Seconds from the command on.

    Attributes:
        url: The address is printed.
        page: The browser has loaded the page; None without a browser.
        plan: The first plan is drawn; without a browser, has been served.
    """

    url: float
    page: float | None
    plan: float


def measure_starts(task: str, controller: str, browser: BrowserContext | None) -> list[dict]:
    """Two rows: with an empty folder for compiled programs, and the median of later starts."""
    with tempfile.TemporaryDirectory() as folder:
        cold = [start(task, controller, Path(folder), browser)]
        warm = [start(task, controller, Path(folder), browser) for _ in range(WARM_STARTS)]
    return [
        {
            "task": task,
            "controller": controller,
            "cache": cache,
            "starts": len(starts),
            "url_s": _median([each.url for each in starts]),
            "page_s": _median([each.page for each in starts]),
            "plan_s": _median([each.plan for each in starts]),
            "plan": "served" if browser is None else "drawn",
        }
        for cache, starts in (("cold", cold), ("warm", warm))
    ]


def start(task: str, controller: str, cache: Path, browser: BrowserContext | None) -> Start:
    """Starts the program once and ends it again.

    Args:
        task: Name or file of the task.
        controller: Name of the controller.
        cache: Folder that takes the place of the user's cache.
        browser: What opens the page, or None.

    Raises:
        UsageError: The program ended before it had an address, or no plan came.
    """
    command = [sys.executable, "-m", "gpc_studio", "run", "--task", task,
               "--controller", controller, "--port", "0", "--no-open"]  # fmt: skip
    environ = os.environ | {"XDG_CACHE_HOME": str(cache)}
    environ.pop("JAX_COMPILATION_CACHE_DIR", None)  # this program has set its own
    begin = time.perf_counter()
    with _running(command, environ) as process:
        address = _address(process)
        at_url = time.perf_counter() - begin
        if browser is None:
            _wait_for_served_plan(address)
            return Start(at_url, None, time.perf_counter() - begin)
        page = browser.new_page()
        try:
            page.goto(address, timeout=1e3 * _LONGEST)
            at_page = time.perf_counter() - begin
            page.wait_for_function(_DRAWN, arg=_PLAN_NODE, timeout=1e3 * _LONGEST)
            page.evaluate(_TWO_FRAMES)
            return Start(at_url, at_page, time.perf_counter() - begin)
        finally:
            page.close()


@contextlib.contextmanager
def chromium() -> Iterator[BrowserContext | None]:
    """A headless browser, or None where there is no Chromium or nothing to drive it."""
    from gpc_studio.app.web.chromium import CHROMIUM_FLAGS, find_chromium

    executable = find_chromium()
    if executable is None or importlib.util.find_spec("playwright") is None:
        yield None
        return
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=list(CHROMIUM_FLAGS))
        try:
            yield browser.new_context(viewport={"width": 1280, "height": 720})
        finally:
            browser.close()


def measure_swap(
    controller: str, samples: tuple[int, int] = SWAP_SAMPLES, seconds: float = 3.0
) -> dict[str, Any]:
    """The longest time without a new plan while `samples` changes in a running session, a row.

    The new number is compiled anew, whatever is kept on disk.
    """
    import jax

    from gpc_studio.app.session import Session

    before, after = samples
    kept = getattr(jax.config, _CACHE)
    jax.config.update(_CACHE, False)
    try:
        with Session(SWAP_TASK, controller, options={"samples": before}) as session:
            session.wait_ready(_LONGEST)
            quiet = _longest_gap(session, seconds, before)
            session.set_option("samples", after)
            swap = _longest_gap(session, seconds, after)
            rate = session.snapshot.timing.asked_rate
    finally:
        jax.config.update(_CACHE, kept)
    return {
        "task": SWAP_TASK,
        "controller": controller,
        "samples": list(samples),
        "period_ms": 1e3 / rate,
        "gap_before_ms": 1e3 * quiet,
        "gap_ms": 1e3 * swap,
    }


def tables(starts: Sequence[dict], swap: dict) -> Iterator[Any]:
    """What to print."""
    from rich.text import Text

    from gpc_studio.app.evaluate.report import compact_table

    drawn = starts[0]["plan"] == "drawn"
    table = compact_table("Seconds from the command on")
    for name in ("task", "controller", "cache"):
        table.add_column(name, no_wrap=True)
    for name in ("address", *(["page"] if drawn else []), f"plan {starts[0]['plan']}"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in starts:
        times = [row["url_s"], *([row["page_s"]] if drawn else []), row["plan_s"]]
        names = (row["task"], row["controller"], row["cache"])
        table.add_row(*names, *(f"{value:.2f}" for value in times))
    yield table
    yield Text(
        f"cold: nothing compiled before. warm: median of {starts[-1]['starts']} starts after it.",
        "dim",
    )
    if not drawn:
        from gpc_studio.app.web.chromium import INSTALL_COMMAND

        yield Text(
            "Without a browser to draw it, the first plan counts when it is served. A browser"
            f" needs: {INSTALL_COMMAND}, and pip install playwright",
            "yellow",
        )
    yield Text(
        f"{swap['task']} with {swap['controller']}, samples {swap['samples'][0]} to"
        f" {swap['samples'][1]}: at most {swap['gap_ms']:.0f} ms between two plans, compiling"
        f" included ({swap['gap_before_ms']:.0f} ms before it; asked for:"
        f" {swap['period_ms']:.0f} ms)."
    )


@contextlib.contextmanager
def _running(command: Sequence[str], environ: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(
            command, env=environ, stdout=subprocess.PIPE, stderr=errors, text=True
        )
        try:
            yield process
        except _EndedEarlyError:
            process.wait(_ENDING)
            errors.seek(0)
            raise UsageError(f"{' '.join(command)}: {errors.read().strip()}") from None
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(_ENDING)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            assert process.stdout is not None
            process.stdout.close()


class _EndedEarlyError(RuntimeError):
    """The program ended before it printed its address."""


def _address(process: subprocess.Popen[str]) -> str:
    from gpc_studio.app.running import ADDRESS

    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith(ADDRESS):
            return line.removeprefix(ADDRESS).split()[0]
    raise _EndedEarlyError


def _wait_for_served_plan(address: str) -> None:
    """Connects as the page does, and reads until the node of the best plan is made."""
    import viser
    import zstandard
    from websockets.sync.client import connect
    from websockets.typing import Subprotocol

    deadline = time.monotonic() + _LONGEST
    address, protocol = address.replace("http", "ws", 1), Subprotocol(f"viser-v{viser.__version__}")
    with connect(address, subprotocols=[protocol], compression=None, max_size=None) as connection:
        while time.monotonic() < deadline:
            try:
                message = connection.recv(timeout=1.0)
            except TimeoutError:
                continue
            assert isinstance(message, bytes)
            # Two lengths of 8 bytes, then compressed msgpack; arrays follow as they are.
            size = int.from_bytes(message[8:16], "little")
            if _PLAN_NODE.encode() in zstandard.decompress(message[16 : 16 + size]):
                return
    raise UsageError(f"no plan was served within {_LONGEST:.0f} s")


def _longest_gap(session: Session, seconds: float, samples: int) -> float:
    """The longest time between two new plans, s, for `seconds` and until they have `samples`."""
    begin = last = time.perf_counter()
    plan, longest, now = session.snapshot.plan, 0.0, begin
    while now - begin < seconds or plan is None or len(plan.cost) != samples:
        time.sleep(0.001)
        now, newest = time.perf_counter(), session.snapshot.plan
        longest = max(longest, now - last)
        if newest is not plan:
            plan, last = newest, now
        if now - begin > _LONGEST:
            raise UsageError(f"{SWAP_TASK}: no plan of {samples} samples in {_LONGEST:.0f} s")
    return longest


def _median(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None
