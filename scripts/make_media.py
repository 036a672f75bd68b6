"""Makes the pictures of the README: `.venv/bin/python scripts/make_media.py`.

Every picture is the page as a browser shows it, of a session that was really run. Needs Chromium.
"""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gpc_studio.app.environment import bound_thread_pools

bound_thread_pools()

from PIL import Image  # noqa: E402
from rich.progress import track  # noqa: E402

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Page

    from gpc_studio.app.session import Session

WIDTH, HEIGHT = 1280, 720
GIF_WIDTH, GIF_HEIGHT = 640, 360
GIF_FRAMES, GIF_RATE = 46, 10.0
PNG_BYTES, GIF_BYTES = 300_000, 2_000_000

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "media"


@dataclass(frozen=True)
class Shot:
    """One picture.

    Attributes:
        name: Name of the file, without ending.
        task: Task.
        controller: Controller.
        seconds: Simulated time at the picture, s.
        tabs: Tabs to open, by their exact labels.
        overlay: Overlay options other than the defaults.
        options: Controller options other than the task's.
        dark: Theme.
        pixel_ratio: Pixels of the 3-D view per pixel of the page.
        seed: Seed of start and noise.
    """

    name: str
    task: str
    controller: str
    seconds: float
    tabs: tuple[str, ...] = ()
    overlay: dict[str, Any] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)
    dark: bool = True
    pixel_ratio: float = 1.0
    seed: int = 0


PUSH_T = Shot(
    "push_t", "push_t", "cem", 2.4, ("Samples", "View"),
    {"colour_by": "source", "rollouts": 64}, dark=False,
)  # fmt: skip
STILLS = (
    PUSH_T,
    Shot("double_cart_pole", "double_cart_pole", "mppi", 1.9, ("Plan",), {"rollouts": 96}),
    Shot("cart_pole", "cart_pole", "mppi", 0.9, ("Plan", "View"), {"rollouts": 64}),
)
GIF = Shot("push_t", "push_t", "cem", 0.3, overlay={"rollouts": 48}, pixel_ratio=0.5)


def main() -> int:
    """Makes all pictures, or those named; returns the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", nargs="*", help="names of files, such as cart_pole.png")
    parser.add_argument("--out", type=Path, default=FOLDER)
    args = parser.parse_args()
    jobs: dict[str, tuple[Shot, Callable[[Page, Session, Path], None], int]] = {
        f"{shot.name}.png": (shot, still, PNG_BYTES) for shot in STILLS
    }
    jobs[f"{GIF.name}.gif"] = (GIF, film, GIF_BYTES)
    unknown = sorted(set(args.only or ()) - set(jobs))
    if unknown:
        parser.error(f"--only: expected some of {', '.join(jobs)}, got {', '.join(unknown)}")
    args.out.mkdir(parents=True, exist_ok=True)
    good = True
    with chromium() as browser:
        for name in args.only or jobs:
            shot, take, limit = jobs[name]
            file = args.out / name
            with scene(browser, shot) as (page, session):
                take(page, session, file)
            size = file.stat().st_size
            good &= size < limit
            print(f"{file}: {size / 1e3:.0f} kB{'' if size < limit else ', TOO LARGE'}")
    return 0 if good else 1


@contextmanager
def chromium() -> Iterator[BrowserContext]:
    """A headless browser."""
    from playwright.sync_api import sync_playwright

    from gpc_studio.app.web.chromium import CHROMIUM_FLAGS, INSTALL_COMMAND, find_chromium

    executable = find_chromium()
    if executable is None:
        sys.exit(f"no Chromium was found: {INSTALL_COMMAND}")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=list(CHROMIUM_FLAGS))
        yield browser.new_context(viewport={"width": WIDTH, "height": HEIGHT})
        browser.close()


@contextmanager
def scene(browser: BrowserContext, shot: Shot) -> Iterator[tuple[Page, Session]]:
    """A session at the moment of the shot, paused, and a page that shows it."""
    from gpc_studio.app.session import Session
    from gpc_studio.app.web.frontend import WebFrontend

    with Session(
        shot.task, shot.controller, seed=shot.seed, mode="lock-step", options=shot.options,
        paused=True,
    ) as session:  # fmt: skip
        session.wait_ready(120.0)
        with WebFrontend(session, port=0, dark=shot.dark) as frontend:
            for name, value in shot.overlay.items():
                frontend.view.set(name, value)
            page = browser.new_page()
            page.goto(f"{frontend.url}?fixedDpr={shot.pixel_ratio}")
            page.get_by_role("button", name="Reset", exact=True).wait_for(timeout=60_000)
            for tab in shot.tabs:
                page.get_by_text(tab, exact=True).first.click()
            page.wait_for_timeout(3000)
            close_notifications(page)
            session.run(shot.seconds)
            yield page, session
            page.close()


def still(page: Page, session: Session, file: Path) -> None:
    """A picture of the page while the session runs, slowly."""
    session.set_mode("real-time")
    session.set_speed(0.1)
    session.resume()
    page.wait_for_timeout(2000)
    close_notifications(page)
    picture = screenshot(page)
    picture = picture.quantize(palette=palette(picture))
    picture.save(file, optimize=True)


def film(page: Page, session: Session, file: Path) -> None:
    """A film in which every picture is a fixed simulated time after the one before.

    Without the panels, whose text could not be read at this size.
    """
    for side in ("left", "right"):
        page.locator(f"[data-dock-region-collapse={side}]").click()
    page.mouse.move(WIDTH / 2, 5)  # or the button's hint stays
    frames = []
    for _ in track(range(GIF_FRAMES), file.name):
        session.run(1.0 / GIF_RATE)
        page.wait_for_timeout(400)
        frames.append(screenshot(page).resize((GIF_WIDTH, GIF_HEIGHT), Image.Resampling.LANCZOS))
    # One palette for all, or the ground would flicker.
    shared = palette(frames[GIF_FRAMES // 2])
    frames = [frame.quantize(palette=shared, dither=Image.Dither.NONE) for frame in frames]
    frames[0].save(
        file, save_all=True, append_images=frames[1:], duration=round(1000 / GIF_RATE), loop=0,
        optimize=True,
    )  # fmt: skip


def palette(picture: Image.Image) -> Image.Image:
    """256 colours: most for what is large, such as the ground, the rest for thin bright lines."""
    large = picture.quantize(176, Image.Quantize.MEDIANCUT).getpalette() or []
    bright = picture.quantize(80, Image.Quantize.MAXCOVERAGE).getpalette() or []
    made = Image.new("P", (1, 1))
    made.putpalette(large[: 3 * 176] + bright[: 3 * 80])
    return made


def screenshot(page: Page) -> Image.Image:
    """The page as it is now."""
    return Image.open(io.BytesIO(page.screenshot())).convert("RGB")


def close_notifications(page: Page) -> None:
    """Closes the library's notice about software rendering, and whatever else is in the way."""
    close = page.locator(".mantine-Notification-closeButton")
    for _ in range(close.count()):
        close.first.click()
        page.wait_for_timeout(400)


if __name__ == "__main__":
    sys.exit(main())
