"""A real browser for tests of the whole program."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import pytest

from gpc_studio.app.web.chromium import CHROMIUM_FLAGS, INSTALL_COMMAND, find_chromium


def _no_browser(reason: str) -> None:
    message = f"{reason}; the browser tests need: {INSTALL_COMMAND}"
    if os.environ.get("GPC_STUDIO_REQUIRE_BROWSER") == "1":
        pytest.fail(message)
    pytest.skip(message)


@pytest.fixture(scope="session")
def browser(tmp_path_factory, request):
    """A Chromium, started once."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        _no_browser("the Python package playwright is missing")
    executable = find_chromium()
    if executable is None:
        _no_browser("no Chromium was found")
    with sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            str(tmp_path_factory.mktemp("profile")),
            executable_path=executable,
            headless=True,
            args=list(CHROMIUM_FLAGS),
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
