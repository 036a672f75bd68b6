"""A real browser for tests of the whole program."""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path

import pytest

_CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "chrome")
_INSTALL = "apt-get install -y --no-install-recommends chromium libegl1 libgl1-mesa-dri"

# Mesa's software renderer without GPU compositing was the fastest of all that draw WebGL headless.
_MESA = ("--use-gl=angle", "--use-angle=gl-egl", "--ignore-gpu-blocklist",
         "--disable-gpu-compositing")  # fmt: skip
_FLAGS = (
    "--no-sandbox", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
)  # fmt: skip


def _no_browser(reason: str) -> None:
    message = f"{reason}; the browser tests need: {_INSTALL}"
    if os.environ.get("GPC_STUDIO_REQUIRE_BROWSER") == "1":
        pytest.fail(message)
    pytest.skip(message)


def _chromium() -> str | None:
    named = os.environ.get("GPC_STUDIO_CHROMIUM")
    found = [named] if named else [shutil.which(name) for name in _CHROMIUM]
    return next((path for path in found if path), None)


def _has_mesa() -> bool:
    folders = (
        Path("/usr/lib"),
        Path("/usr/lib/x86_64-linux-gnu"),
        Path("/usr/lib/aarch64-linux-gnu"),
    )
    return any((folder / "libEGL_mesa.so.0").exists() for folder in folders)


@pytest.fixture(scope="session")
def browser(tmp_path_factory, request):
    """A Chromium, started once."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        _no_browser("the Python package playwright is missing")
    executable = _chromium()
    if executable is None:
        _no_browser("no Chromium was found")
    with sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            str(tmp_path_factory.mktemp("profile")),
            executable_path=executable,
            headless=True,
            args=[*_FLAGS, *(_MESA if _has_mesa() else ())],
            viewport={"width": 1280, "height": 720},
        )
        request.session.e2e_browser = context
        yield context
        context.close()


@pytest.fixture
def pages(browser):
    """Opens further pages, which are closed after the test."""
    from viser_page import ViserPage

    opened = []

    def open_page(url: str, **options) -> ViserPage:
        opened.append(browser.new_page())
        return ViserPage(opened[-1], url, **options)

    yield open_page
    for page in opened:
        if not page.is_closed():
            page.close()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    if call.when == "call" and outcome.get_result().failed:
        _keep_pictures(item)


def _keep_pictures(item) -> None:
    """Keeps what a failed test's pages show in `test-results/`."""
    context = getattr(item.session, "e2e_browser", None)
    if context is None:
        return
    folder = Path("test-results")
    folder.mkdir(exist_ok=True)
    for number, page in enumerate(context.pages):
        with contextlib.suppress(Exception):
            page.screenshot(path=str(folder / f"{item.name}-{number}.png"), timeout=5000)


def pytest_collection_modifyitems(items):
    here = Path(__file__).parent
    for item in items:
        if here in Path(str(item.fspath)).parents:
            item.add_marker(pytest.mark.e2e)
