"""Colours and title bar of the page."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    import viser

BRAND = (16, 128, 168)
_TITLE = "GPC Studio"


def apply_theme(gui: viser.GuiApi, dark: bool) -> None:
    """Sets title bar and colours for all browsers."""
    gui.configure_theme(
        titlebar_content={
            "buttons": None,
            "image": {
                "image_url_light": _logo("#1f2933"),
                "image_url_dark": _logo("#e8edf2"),
                "image_alt": _TITLE,
                "href": None,
            },
        },
        dark_mode=dark,
        brand_color=BRAND,
        show_logo=False,
        show_share_button=False,
    )


def _logo(ink: str) -> str:
    """The name with its sign: candidate paths that fan out, one of them taken."""
    teal = "#{:02x}{:02x}{:02x}".format(*BRAND)
    svg = f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 152 28" height="28">
<g fill="none" stroke-width="2.2" stroke-linecap="round">
<path d="M4 22 C10 22 14 20 22 5" stroke="{teal}" opacity=".35"/>
<path d="M4 22 C12 22 16 19 25 11" stroke="{teal}" opacity=".6"/>
<path d="M4 22 C12 22 18 23 26 24" stroke="{teal}" opacity=".35"/>
<path d="M4 22 C13 22 17 18 26 17" stroke="#ff40a0" stroke-width="3"/></g>
<circle cx="4" cy="22" r="3" fill="{ink}"/>
<text x="36" y="20.5" fill="{ink}" font-family="system-ui, Segoe UI, Roboto, sans-serif"
 font-size="17" font-weight="650">{_TITLE}</text></svg>"""
    return "data:image/svg+xml," + quote(svg)
