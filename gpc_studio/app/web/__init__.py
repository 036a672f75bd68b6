"""The browser front end.

frontend.py            the thread that shows the newest snapshot to every browser
page.py, panels/, charts/
                       what is beside the 3-D view: controls, state, charts
scene/, overlays/      the 3-D view: the world, and what is drawn over it
controls.py            controls generated from option dataclasses
shortcuts.py           the keyboard and the command palette
server.py, security.py where the server listens, and whom it lets in
"""
