"""Runs the studio for a long time under a scripted user and reports what went wrong.

    .venv/bin/python scripts/soak.py --minutes 30 --out soak.json

The user switches tasks and controllers, storms the sliders, pushes and pauses while two browsers
connect and leave. The run fails (exit 1) if an exception was reported, memory grew by 5 % or more
after the warm-up, or threads were left behind.
"""

from __future__ import annotations

import argparse
import gc
import json
import random
import sys
import threading
import time
from pathlib import Path
from typing import Any

import psutil
from rich.progress import Progress

from gpc_studio.app.environment import prepare

prepare()


def main() -> int:
    """Runs the soak test and prints its report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--switches", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--no-browsers", action="store_true")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()

    threads_before = {thread.name for thread in threading.enumerate()}
    report = soak(args.minutes * 60.0, args.switches, args.seed, browsers=not args.no_browsers)
    time.sleep(1.0)
    left = {thread.name for thread in threading.enumerate()} - threads_before
    report["threads_left"] = sorted(left)
    if args.out:
        args.out.write_text(json.dumps(report, indent=1) + "\n")
    print(json.dumps({k: v for k, v in report.items() if k != "memory_mb"}, indent=1))
    good = not report["errors"] and report["memory_growth"] < 0.05 and not left
    print("soak:", "passed" if good else "FAILED")
    return 0 if good else 1


def soak(seconds: float, switches: int, seed: int, *, browsers: bool) -> dict[str, Any]:
    """Lets a scripted user at a real-time session with a served page for `seconds`."""
    from gpc_studio.app.session import Session
    from gpc_studio.app.web.frontend import WebFrontend

    rng = random.Random(seed)
    errors: list[str] = []
    seen = 0
    memory: list[tuple[float, float]] = []
    plans = 0
    with Session("pendulum", "mppi", seed=seed) as session:
        frontend = WebFrontend(session, host="127.0.0.1", port=0)
        frontend.start()
        stop = threading.Event()
        visitor = threading.Thread(
            target=_visit, args=(frontend.url, stop, errors), name="soak-visitor"
        )
        if browsers:
            visitor.start()
        begin = time.monotonic()
        process = psutil.Process()
        done = 0
        try:
            with Progress() as progress:
                bar = progress.add_task("soak", total=seconds)
                while (elapsed := time.monotonic() - begin) < seconds:
                    progress.update(bar, completed=elapsed)
                    if done < switches * elapsed / seconds:
                        _switch(session, rng)
                        done += 1
                    _storm(session, rng)
                    for message in session.snapshot.messages:
                        if message.number > seen:
                            seen = message.number
                            if message.level == "error":
                                errors.append(f"{message.title}: {message.text}")
                    gc.collect()
                    memory.append((elapsed, process.memory_info().rss / 2**20))
                    plans = max(plans, session.snapshot.number)
        finally:
            stop.set()
            if browsers:
                visitor.join()
            frontend.stop()
    return {
        "seconds": seconds,
        "switches": done,
        "errors": errors,
        "snapshots": plans,
        "memory_growth": _growth(memory),
        "memory_mb": [(round(t, 1), round(mb, 1)) for t, mb in memory],
    }


def _growth(memory: list[tuple[float, float]]) -> float:
    """Relative growth from the second to the last quarter of the run, by medians.

    The first quarter fills the caches: every task's model and every controller's program.
    """
    values = [mb for _, mb in memory]
    quarter = max(len(values) // 4, 1)
    early = sorted(values[quarter : 2 * quarter] or values)
    late = sorted(values[-quarter:])
    return late[len(late) // 2] / early[len(early) // 2] - 1.0


def _switch(session: Any, rng: random.Random) -> None:
    from gpc_studio.controllers.registry import controller_names
    from gpc_studio.scenes.registry import task_names

    if rng.random() < 0.5:
        session.set_task(rng.choice(task_names()))
    else:
        session.set_controller(rng.choice(controller_names()))


def _storm(session: Any, rng: random.Random) -> None:
    """One second of a restless user."""
    from gpc_studio.options import OptionError, describe

    described = list(describe(type(session.snapshot.options)).values())
    for _ in range(20):
        snapshot = session.snapshot
        action = rng.random()
        try:
            if action < 0.6:
                option = rng.choice([o for o in described if o.kind in (int, float)])
                if option.static and rng.random() < 0.9:
                    continue
                low, high = option.min or 0.0, min(option.max or 1.0, 64.0)
                value = rng.uniform(low, max(high, low))
                session.set_option(option.name, round(value) if option.kind is int else value)
            elif action < 0.8:
                name, weight = rng.choice(list(snapshot.task.weights.items()))
                session.set_weight(name, rng.uniform(weight.min, weight.max))
            elif action < 0.9:
                force = [rng.uniform(-2.0, 2.0) for _ in range(3)]
                body, place = _some_body(snapshot, rng)
                session.push(body, place, force)
                session.release_push()
            elif action < 0.93:
                session.set_speed(rng.uniform(0.1, 4.0))
            elif action < 0.96:
                session.rewind(rng.uniform(0.1, 5.0))
            else:
                session.reset()
        except OptionError:
            pass  # The controller changed between the look and the command.
        time.sleep(0.05)
    session.resume()


def _some_body(snapshot: Any, rng: random.Random) -> tuple[int, Any]:
    """A body that moves, and where its centre is."""
    import mujoco
    import numpy as np

    model, data = snapshot.task.model, mujoco.MjData(snapshot.task.model)
    data.qpos[:] = snapshot.state.qpos
    mujoco.mj_kinematics(model, data)
    body = rng.choice(np.flatnonzero(model.body_treeid >= 0).tolist())
    return body, data.xpos[body]


def _visit(url: str, stop: threading.Event, errors: list[str]) -> None:
    """Two browsers that come and go."""
    from playwright.sync_api import Error, sync_playwright

    from gpc_studio.app.web.chromium import CHROMIUM_FLAGS, find_chromium

    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=find_chromium(), args=list(CHROMIUM_FLAGS)
            )
            while not stop.is_set():
                pages = []
                for _ in range(2):
                    page = browser.new_page(viewport={"width": 640, "height": 360})
                    page.on("pageerror", lambda error: errors.append(f"page: {error}"))
                    page.goto(f"{url}{'&' if '?' in url else '?'}fixedDpr=0.25")
                    pages.append(page)
                    stop.wait(10.0)
                stop.wait(20.0)
                for page in pages:
                    page.close()
            browser.close()
    except Error as error:
        errors.append(f"browser: {error}")


if __name__ == "__main__":
    sys.exit(main())
