"""A page of the studio as a test sees it.

viser's client keeps hooks for its own tests on `window` (`__viserMutable`, `__viserSceneTree`,
`__viserTestpoints`). They are private, so everything that knows them is in this file.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable

import numpy as np
from PIL import Image

_PROJECT = """
([x, y, z]) => {
  const { camera, canvas, scene, nodeRefFromName } = window.__viserMutable;
  camera.updateMatrixWorld();
  const root = nodeRefFromName[""];
  const point = camera.position.clone().set(x, y, z);
  if (root) root.localToWorld(point);
  point.project(camera);
  const box = canvas.getBoundingClientRect();
  return [box.left + (point.x + 1) / 2 * box.width, box.top + (1 - point.y) / 2 * box.height];
}
"""


class ViserPage:
    """One browser page.

    Attributes:
        page: The Playwright page, for everything that this class has no word for.
    """

    def __init__(self, page, url: str, *, pixel_ratio: float = 0.25) -> None:
        """Opens `url` and waits until the world is there.

        Args:
            page: A Playwright page.
            url: Address of the studio.
            pixel_ratio: Canvas pixels per page pixel. Software rendering is slow, and fixing the
                ratio switches viser's own adaptation off.
        """
        self.page = page
        self.errors: list[str] = []
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        joiner = "&" if "?" in url else "?"
        page.goto(f"{url}{joiner}fixedDpr={pixel_ratio}")
        self.wait(lambda: self.node("/world"), "the world", 30.0)
        self.wait(lambda: self.button("Reset").count() == 1, "the buttons")
        self.close_notifications()

    def front(self) -> ViserPage:
        """Brings the page to the front: the browser hardly runs pages that nobody sees."""
        self.page.bring_to_front()
        return self

    def wait(self, condition: Callable[[], object], what: str = "", seconds: float = 45.0) -> None:
        """Waits until `condition` holds.

        Raises:
            AssertionError: It does not in time; a test prints `what` was waited for.
        """
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"waited {seconds} s for {what or condition}"
            self.page.wait_for_timeout(50)

    # --- controls -----------------------------------------------------------------------------

    def button(self, name: str):
        """A button by its exact name."""
        return self.page.get_by_role("button", name=name, exact=True)

    def tab(self, name: str, nth: int = 0) -> None:
        """Opens a tab; `nth` tells tabs of one name in several panels apart."""
        self.page.get_by_text(name, exact=True).nth(nth).click()

    def control(self, label: str):
        """The text box of a control (a slider has one, too) by its label."""
        row = self.page.locator("label", has_text=label).filter(has_text=_exactly(label))
        return (
            row.locator("xpath=ancestor::*[contains(@class,'mantine-Flex-root')][1]")
            .locator("input:not([type=hidden])")
            .last
        )

    def set_number(self, label: str, value: float) -> None:
        """Types a number into a control, key by key as a person does.

        The client's number box now and then ignores a value that is put there all at once.
        """
        box = self.control(label)
        box.click()
        self.page.keyboard.press("Control+a")
        self.page.keyboard.type(str(value), delay=40)
        box.press("Enter")
        box.blur()

    def choose(self, label: str, choice: str) -> None:
        """Picks from a dropdown."""
        self.control(label).click()
        self.page.get_by_role("option", name=choice, exact=True).click()

    def value(self, label: str) -> str:
        """What a control shows."""
        return self.control(label).input_value()

    def press(self, key: str) -> None:
        """Presses a key with no control focused."""
        self.page.evaluate("document.activeElement && document.activeElement.blur()")
        self.page.keyboard.press(key)

    def close_notifications(self) -> None:
        """Closes what lies over the view, such as viser's notice about software rendering."""
        close = self.page.locator(".mantine-Notification-closeButton")
        for _ in range(10):
            if not close.count():
                return
            try:
                close.first.click(timeout=1000)
            except Exception:  # It was closing already.
                self.page.wait_for_timeout(100)

    def notifications(self) -> list[str]:
        """Texts of the notifications that are open."""
        return self.page.locator(".mantine-Notification-root").all_inner_texts()

    def text(self) -> str:
        """All text on the page."""
        return self.page.locator("body").inner_text()

    # --- 3-D ----------------------------------------------------------------------------------

    def node(self, name: str):
        """The full name of the scene node whose name ends like this, or None."""
        return next((full for full in self.nodes() if full.endswith(name)), None)

    def nodes(self) -> list[str]:
        """Names of all scene nodes."""
        return self.page.evaluate(
            "() => window.__viserSceneTree ? Object.keys(window.__viserSceneTree.getState()) : []"
        )

    def orientation(self, name: str) -> list[float]:
        """Orientation xyzw of a scene node as the page draws it, by the end of its name."""
        return self.page.evaluate(
            "name => window.__viserMutable.nodeRefFromName[name].quaternion.toArray()",
            self.node(name),
        )

    def pixel(self, point) -> tuple[float, float]:
        """Where a point of the world is on the page, pixels."""
        x, y = self.page.evaluate(_PROJECT, [float(value) for value in point])
        return x, y

    def picture(self) -> np.ndarray:
        """The page as an image (H, W, 3)."""
        return np.asarray(Image.open(io.BytesIO(self.page.screenshot())).convert("RGB"))

    def view(self) -> np.ndarray:
        """The part of the picture between the panels (H, W, 3)."""
        picture = self.picture()
        height, width, _ = picture.shape
        return picture[height // 4 : 3 * height // 4, int(0.3 * width) : int(0.7 * width)]

    def drag(self, start, end, *, steps: int = 12, key: str | None = None, hold: float = 0.0):
        """Drags the mouse from one pixel to another, perhaps with a key held."""
        mouse = self.page.mouse
        mouse.move(*start)
        self.page.wait_for_timeout(150)
        if key:
            self.page.keyboard.down(key)
        mouse.down()
        for k in range(1, steps + 1):
            share = k / steps
            mouse.move(
                start[0] + share * (end[0] - start[0]), start[1] + share * (end[1] - start[1])
            )
            self.page.wait_for_timeout(30)
        self.page.wait_for_timeout(int(1000 * hold))
        mouse.up()
        if key:
            self.page.keyboard.up(key)

    # --- charts -------------------------------------------------------------------------------

    def charts(self) -> list[dict]:
        """Title, points, newest x, times built, and ticks per axis, of each open chart."""
        return self.page.evaluate(
            """() => Object.values(window.__viserTestpoints.uplots || {}).map(
              ({ chart, createCount }) => ({
                title: chart.root.querySelector(".u-title")?.textContent || "",
                points: chart.data[0].length,
                last: chart.data[0][chart.data[0].length - 1],
                built: createCount,
                ticks: chart.axes.map(axis => (axis._splits || []).length),
              }))"""
        )

    def boxes(self, *selectors: str) -> list[dict]:
        """Rectangles of all visible elements that match."""
        return self.page.evaluate(
            """selectors => selectors.flatMap(s => [...document.querySelectorAll(s)])
              .map(e => ({ e, r: e.getBoundingClientRect() }))
              .filter(({ e, r }) => {
                // Something in a collapsed section has a size, too, but cannot be hit.
                if (!(r.width > 0 && r.height > 0)) return false;
                const top = document.elementFromPoint((r.left + r.right) / 2,
                                                      (r.top + r.bottom) / 2);
                return top && e.contains(top);
              })
              .map(({ e, r }) => ({ left: r.left, top: r.top, right: r.right, bottom: r.bottom,
                                    text: (e.innerText || "").slice(0, 40) }))""",
            list(selectors),
        )


def _exactly(label: str):
    import re

    return re.compile(rf"^\s*{re.escape(label)}\s*$")
