"""Learned proposals in a real browser: their colours, the latent view, flow time, and training."""

from __future__ import annotations

import re
from functools import partial

import numpy as np
import pytest
from viser_page import ViserPage

from gpc_studio.app.session import Session
from gpc_studio.app.web.frontend import WebFrontend
from gpc_studio.app.web.overlays.colours import source_colour
from gpc_studio.app.web.page import TABS
from gpc_studio.app.web.panels.train import TrainPanel
from gpc_studio.controllers.plan import Source
from gpc_studio.scenes import load_task
from tests.untrained import save_untrained

FLOW = "#{:02x}{:02x}{:02x}".format(*source_colour(Source.FLOW))
TINY = ("--iterations", "2", "--episodes", "8", "--plans", "20", "--epochs", "1")
"""A training of the pendulum that is over in seconds, and worth nothing."""


@pytest.fixture(scope="module")
def studio(tmp_path_factory):
    """A push-T with a policy that nobody trained, on a free port."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_DATA_HOME", str(tmp_path_factory.mktemp("data")))
        save_untrained(load_task("push_t"), "random_t")
        tabs = {**TABS, "Train": partial(TrainPanel, sizes={"tiny": lambda task, method: TINY})}
        options = {"samples": 16, "rate": 5.0, "horizon": 1.0}
        with Session("push_t", "cem", options=options) as session:
            session.wait_ready(120.0)
            with WebFrontend(session, port=0, tabs=tabs) as frontend:
                yield session, frontend


@pytest.fixture(scope="module")
def page(studio, browser):
    opened = browser.new_page()
    yield ViserPage(opened, studio[1].url)
    opened.close()


@pytest.fixture
def learned(studio, page):
    """The page with gpc_cem in charge, and the tabs of the latent view and of View open."""
    session, frontend = studio
    if session.snapshot.task.name != "push_t":
        session.set_task("push_t")
    session.resume()
    if session.snapshot.wanted_controller != "gpc_cem":
        page.front().choose("Controller", "gpc_cem")
    page.wait(lambda: session.snapshot.wanted_controller == "gpc_cem", "gpc_cem")
    session.set_options({"samples": 16, "rate": 5.0, "horizon": 1.0, "checkpoint": "random_t"})
    session.wait_ready(120.0)
    page.errors.clear()
    page.close_notifications()
    page.tab("View")
    page.tab("Latent")
    frontend.view.set("flow_time", 1.0)
    yield page
    frontend.view.set("flow_time", 1.0)
    assert page.errors == []


def dots(page) -> str:
    """Where the latent view draws the policy's samples."""
    return page.page.evaluate(
        "mark => document.querySelector(mark)?.getAttribute('d') || ''",
        f'svg[role=img] path.dot[stroke="{FLOW}"]',
    )


def test_without_a_policy_the_latent_view_says_so(studio, page):
    assert studio[0].snapshot.wanted_controller == "cem"
    page.tab("Latent")
    page.wait(lambda: "cem draws from no policy" in page.text(), "the sentence")


def test_checkpoint_and_sources_are_named(learned, studio):
    learned.choose("Colour by", "source")
    learned.wait(lambda: "Rollouts by source" in learned.text(), "the legend")
    learned.wait(lambda: "Flow policy" in learned.text(), "the policy in the legend")
    learned.tab("Controller", 1)
    assert learned.value("Checkpoint") == "random_t"
    learned.tab("Samples")
    learned.wait(lambda: "CEM sample ratio" in learned.text(), "the ratio")
    titles = {"Source of the best sample", "Source of the elites", "Best cost of each source"}
    learned.wait(lambda: titles <= {c["title"] for c in learned.charts()}, "charts")
    learned.wait(lambda: all(c["points"] > 2 for c in learned.charts()), "data")


def test_the_latent_view_draws_samples_noise_and_elites(learned, studio):
    learned.wait(lambda: dots(learned).count("M") >= 4, "the policy's samples")
    # All at once, since the next picture takes the place of this one.
    seen = learned.page.evaluate(
        """() => {
          const svg = document.querySelector("svg[role=img]"), box = svg.getBoundingClientRect();
          const count = name => svg.querySelectorAll(`path.${name}`).length;
          return { noise: count("noise"), best: count("best"), width: box.width,
                   height: box.height, elites: svg.querySelector("path.elite").getAttribute("d") };
        }"""
    )
    assert (seen["noise"], seen["best"]) == (1, 1)
    assert "M" in seen["elites"]
    assert seen["width"] > 250 and abs(seen["width"] - seen["height"]) < 3
    assert re.search(r"\d+ % of the variance", learned.text())


def test_flow_time_moves_samples_and_rollouts_and_1_is_the_plan(learned, studio):
    session, frontend = studio
    learned.wait(lambda: dots(learned), "samples")
    session.pause()
    learned.wait(lambda: session.snapshot.paused, "pause")
    learned.page.wait_for_timeout(1000)
    plan, at_end = session.snapshot.plan, dots(learned)
    drawn = frontend._view.rollouts.samples._node.points.copy()
    learned.set_number("Flow time", 0)
    learned.wait(lambda: "at flow time 0.00" in learned.text(), "the legend", 60.0)
    learned.wait(lambda: dots(learned) not in ("", at_end), "the samples to move")
    points = frontend._view.rollouts.samples._node.points
    assert points.shape != drawn.shape or not np.allclose(points, drawn)
    at_start = dots(learned)
    learned.set_number("Flow time", 0.5)
    learned.wait(lambda: dots(learned) not in ("", at_start, at_end), "the samples to move on")
    assert session.snapshot.plan is plan  # looking changes nothing
    learned.set_number("Flow time", 1)
    learned.wait(lambda: "at flow time" not in learned.text(), "the plan")
    learned.page.wait_for_timeout(500)
    back = frontend._view.rollouts.samples._node.points
    np.testing.assert_array_equal(back, drawn)


def test_training_from_the_browser(studio, page):
    session, _ = studio
    page.front()
    session.set_task("pendulum")
    session.set_controller("mppi")
    session.wait_ready(120.0)
    page.close_notifications()
    page.tab("Train")
    page.wait(lambda: page.value("Name") == "pendulum_gpc_tiny", "the name")
    page.button("Start training").click()
    page.wait(lambda: page.button("Stop training").count() == 1, "the training to start")
    page.wait(lambda: page.button("Use it now").count() == 1, "the training to end", 200.0)
    assert "pendulum_gpc_tiny: trained" in page.text()
    page.button("Use it now").click()
    page.wait(lambda: session.snapshot.wanted_controller == "gpc_cem", "the controller")
    page.wait(
        lambda: getattr(session.snapshot.options, "checkpoint", "") == "pendulum_gpc_tiny",
        "the checkpoint",
    )
    session.wait_ready(120.0)
    page.tab("Controller", 1)
    page.wait(lambda: page.value("Checkpoint") == "pendulum_gpc_tiny", "the dropdown")
    page.tab("Latent")
    page.wait(lambda: dots(page), "its samples")
    assert page.errors == []
