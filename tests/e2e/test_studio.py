"""The whole program in a real browser: session, planner, server and page."""

from __future__ import annotations

import time

import numpy as np
import pytest
from viser_page import ViserPage

from gpc_studio.app.session import Session
from gpc_studio.app.web.frontend import WebFrontend

LABELS = (
    "Task", "Controller", "Samples", "Horizon", "Domains", "Risk metric", "Speed",
)  # fmt: skip


@pytest.fixture(scope="module")
def studio():
    """A cart-pole under control, on a free port."""
    options = {"samples": 16, "rate": 20.0}
    with Session("cart_pole", "mppi", options=options) as session:
        session.wait_ready(120.0)
        with WebFrontend(session, port=0) as frontend:
            yield session, frontend
            assert session.snapshot is not None


@pytest.fixture
def session(studio):
    """The session, back in the state that every test starts from."""
    session, _ = studio
    if session.snapshot.task.name != "cart_pole":
        session.set_task("cart_pole")
    if session.snapshot.wanted_controller != "mppi":
        session.set_controller("mppi")
    session.set_options({"samples": 16, "rate": 20.0})
    session.set_mode("real-time")
    session.set_speed(1.0)
    session.resume()
    session.reset(0)
    session.wait_ready(120.0)
    return session


@pytest.fixture(scope="module")
def main_page(studio, browser):
    """One page for all tests, since opening one takes longer than most tests."""
    page = browser.new_page()
    yield ViserPage(page, studio[1].url)
    page.close()


@pytest.fixture
def page(main_page, session):
    """The page, with the tabs that it opens with."""
    main_page.front().errors.clear()
    main_page.tab("Controller", 1)
    main_page.tab("Costs", 0)
    main_page.wait(lambda: main_page.value("Controller") == "mppi", "the session's controller")
    main_page.close_notifications()
    yield main_page
    assert main_page.errors == []


def moves(session, page) -> bool:
    """Whether simulated time passes."""
    before = float(session.snapshot.state.time)
    page.page.wait_for_timeout(400)
    return float(session.snapshot.state.time) != before


def test_page_shows_world_plans_and_controls(page, session):
    page.wait(lambda: page.node("/plan/rollouts") and page.node("/plan/best"), "rollouts")
    page.wait(lambda: page.view().std() > 8.0, "a picture", 30.0)
    text = page.text()
    for label in LABELS:
        assert label in text, label
        assert page.control(label).count() == 1, label
    for name in ("Pause", "Step", "Reset", "Rewind"):
        assert page.button(name).count() == 1, name
    assert page.value("Task") == "cart_pole"
    assert page.value("Controller") == "mppi"
    assert page.value("Samples") == "16"


def test_the_picture_changes_while_the_world_moves(page, session):
    first = page.view().astype(int)
    page.wait(lambda: np.abs(page.view().astype(int) - first).mean() > 0.5, "motion", 20.0)


def test_pause_step_resume_rewind(page, session):
    page.wait(lambda: session.snapshot.state.time > 1.5, "two seconds")
    page.button("Pause").click()
    page.wait(lambda: session.snapshot.paused, "pause")
    page.wait(lambda: page.button("Resume").count() == 1, "the label to change")
    assert page.button("Pause").count() == 0
    assert not moves(session, page)
    before = float(session.snapshot.state.time)
    page.button("Step").click()
    page.wait(lambda: float(session.snapshot.state.time) > before, "a step")
    page.page.wait_for_timeout(500)
    assert session.snapshot.paused
    stepped = float(session.snapshot.state.time)
    assert stepped - before == pytest.approx(1 / 20, abs=0.011)
    page.button("Rewind").click()
    page.wait(lambda: float(session.snapshot.state.time) < stepped - 0.8, "a rewind")
    page.button("Resume").click()
    page.wait(lambda: not session.snapshot.paused, "resume")
    page.button("Reset").click()
    page.wait(lambda: float(session.snapshot.state.time) < 0.5, "a reset")


def test_keyboard(page, session):
    page.press("Space")
    page.wait(lambda: session.snapshot.paused, "pause")
    before = float(session.snapshot.state.time)
    page.press(".")
    page.wait(lambda: float(session.snapshot.state.time) > before, "a step")
    page.press("Space")
    page.wait(lambda: not session.snapshot.paused, "resume")
    page.wait(lambda: session.snapshot.state.time > 1.0, "a second")
    page.press("r")
    page.wait(lambda: session.snapshot.state.time < 0.5, "a reset")
    page.press("3")
    page.wait(lambda: session.snapshot.wanted_controller == "cem", "cem")
    page.wait(lambda: page.value("Controller") == "cem", "the dropdown to follow")


def test_space_after_a_click_on_the_button_counts_once(page, session):
    page.button("Pause").click()
    page.wait(lambda: page.button("Resume").count() == 1, "pause")
    page.page.keyboard.press("Space")
    page.wait(lambda: not session.snapshot.paused, "resume")
    page.page.wait_for_timeout(500)
    assert not session.snapshot.paused


def test_keys_typed_into_a_box_are_no_commands(page, session):
    box = page.control("Samples")
    box.click()
    page.page.keyboard.press("3")
    page.page.keyboard.press("Escape")
    page.page.wait_for_timeout(300)
    assert session.snapshot.wanted_controller == "mppi"


def test_every_shortcut_is_in_the_command_palette(page, session):
    page.press("Control+k")
    page.wait(lambda: "Pause or resume" in page.text(), "the palette")
    page.page.keyboard.type("dial")
    page.wait(lambda: "Controller: dial_mpc" in page.text(), "the entry")
    page.page.keyboard.press("Escape")


def test_sliders_change_options_and_weights(page, session):
    page.set_number("Samples", 24)
    page.wait(lambda: session.snapshot.options.samples == 24, "24 samples")
    page.wait(lambda: len(session.snapshot.plan.cost) == 24, "a plan with 24 samples", 60.0)
    page.set_number("Speed", 0.5)
    page.wait(lambda: session.snapshot.speed == 0.5, "half the speed")
    page.tab("Weights")
    name = next(iter(session.snapshot.task.weights))
    label = name.replace("_", " ")
    page.wait(lambda: page.control(label).count() == 1, label)
    page.set_number(label, 1.5)
    page.wait(lambda: session.snapshot.weights[name] == 1.5, "the weight")


def test_slider_that_is_dragged_arrives_at_its_last_value(page, session):
    row = page.control("Horizon").locator(
        "xpath=ancestor::*[contains(@class,'mantine-Flex-root')][1]"
    )
    track = row.locator(".mantine-Slider-trackContainer").bounding_box()
    middle = track["y"] + track["height"] / 2
    page.drag(
        (track["x"] + 0.2 * track["width"], middle), (track["x"] + 0.4 * track["width"], middle)
    )
    page.page.wait_for_timeout(1000)
    shown = float(page.value("Horizon"))
    assert shown != pytest.approx(1.0)
    assert session.snapshot.options.horizon == pytest.approx(shown)


def test_another_controller_brings_its_options(page, session):
    assert page.page.locator("label", has_text="Temperature").count() >= 1
    page.choose("Controller", "predictive_sampling")
    page.wait(lambda: session.snapshot.controller == "predictive_sampling", "the swap", 60.0)
    page.wait(
        lambda: page.page.locator("label", has_text="Temperature").count() == 0, "other options"
    )
    assert page.control("Samples").count() == 1


def test_another_task_brings_its_world(page, session):
    before = set(page.nodes())
    page.choose("Task", "pendulum")
    page.wait(lambda: session.snapshot.task.name == "pendulum", "the pendulum", 60.0)
    page.wait(lambda: page.value("Task") == "pendulum", "the dropdown")
    page.wait(lambda: set(page.nodes()) != before, "another world")
    page.wait(lambda: page.node("/plan/rollouts"), "rollouts")
    assert moves(session, page)


def test_goal_handle_is_upright_after_tasks_were_changed(page, session):
    for task in ("pendulum", "cart_pole"):
        page.choose("Task", task)
        page.wait(lambda task=task: session.snapshot.task.name == task, task, 60.0)
        page.wait(lambda task=task: session.snapshot.plan is not None, "a plan", 60.0)
        page.wait(lambda: page.node("/goal/0"), "the handle")
        page.page.wait_for_timeout(500)
    np.testing.assert_allclose(np.abs(page.orientation("/goal/0")), [0, 0, 0, 1], atol=1e-6)


def test_goal_dragged_and_the_plan_follows(page, session):
    # In lock-step the world waits for every plan, so that a busy machine controls as well.
    session.set_mode("lock-step")
    session.set_options({"samples": 64, "rate": 50.0})
    page.wait(lambda: session.snapshot.success, "the pole upright", 60.0)
    start = np.array(session.snapshot.state.mocap_pos[0])
    # By the tip of its arrow: nearer to the middle the cart itself may be in front of it.
    right = np.array([1.0, 0.0, 0.0])
    page.drag(page.pixel(start + 0.5 * right), page.pixel(start + 1.2 * right))
    page.wait(lambda: session.snapshot.state.mocap_pos[0, 0] > start[0] + 0.2, "the goal to move")
    goal = np.array(session.snapshot.state.mocap_pos[0])
    np.testing.assert_allclose(goal[1:], start[1:], atol=1e-6)

    def plan_leads_there():
        plan = session.snapshot.plan
        cart = plan.qpos[int(plan.best), :, 0]
        return abs(cart[-1] - goal[0]) < abs(start[0] - goal[0]) / 2

    page.wait(plan_leads_there, "the plan to follow", 60.0)
    page.wait(lambda: abs(session.snapshot.state.qpos[0] - goal[0]) < 0.2, "the cart", 60.0)


def test_body_dragged_with_control_is_pushed(page, session):
    session.pause()
    page.wait(lambda: session.snapshot.paused, "pause")
    page.page.wait_for_timeout(500)
    cart = session.snapshot.task.model.body("cart").id
    place = np.array([session.snapshot.state.qpos[0], 0.0, 0.0])
    place += session.snapshot.task.model.body_pos[cart]
    x, y = page.pixel(place)
    mouse, keyboard = page.page.mouse, page.page.keyboard
    for pause in (300, 1000, 3000):  # a busy machine may see the pointer late, and miss the press
        mouse.move(x, y)
        page.page.wait_for_timeout(pause)
        keyboard.down("Control")
        mouse.down()
        for k in range(1, 11):
            mouse.move(x + 8 * k, y)
            page.page.wait_for_timeout(pause / 8)
        if session.snapshot.push is not None:
            break
        mouse.up()
        keyboard.up("Control")
    page.wait(lambda: session.snapshot.push is not None, "a push")
    push = np.array(session.snapshot.push)
    page.wait(lambda: page.node("/plan/push"), "the arrow")
    mouse.up()
    keyboard.up("Control")
    page.wait(lambda: session.snapshot.push is None, "the release")
    assert np.isfinite(push).all()
    assert push[1][0] > 0.0


def test_charts_follow_without_being_rebuilt(page, session):
    page.wait(lambda: len(page.charts()) >= 2, "charts")
    page.wait(lambda: all(chart["points"] > 5 for chart in page.charts()), "data")
    first = {chart["title"]: chart for chart in page.charts()}
    page.page.wait_for_timeout(1500)
    for chart in page.charts():
        assert chart["last"] > first[chart["title"]]["last"], chart
        assert chart["built"] == first[chart["title"]]["built"], chart
        assert all(chart["ticks"]), chart


@pytest.mark.parametrize("tab, titles", [
    ("Costs", {"Cost of the samples", "Share of each cost term"}),
    ("Plan", {"Plan over the horizon", "Samples of each source"}),
    ("Samples", {"Source of the best sample", "Source of the elites", "Best cost of each source",
                 "Effective sample size"}),
    ("Timing", {"Time of a planning step", "Planning rate"}),
])  # fmt: skip
def test_chart_tabs(page, session, tab, titles):
    page.tab(tab)
    page.wait(lambda: titles <= {chart["title"] for chart in page.charts()}, "charts")
    page.wait(lambda: all(chart["points"] > 2 for chart in page.charts()), "data")
    page.wait(lambda: all(all(chart["ticks"]) for chart in page.charts()), "ticks on both axes")


def test_charts_opened_while_paused_are_complete(page, session):
    page.wait(lambda: session.snapshot.state.time > 0.5, "some plans")
    session.pause()
    page.wait(lambda: page.button("Resume").count() == 1, "pause")
    for tab in ("Plan", "Samples", "Timing"):
        page.tab(tab)
        page.wait(lambda: len(page.charts()) > 0, "charts")
        page.wait(lambda: all(all(chart["ticks"]) for chart in page.charts()), "ticks")


def test_two_browsers_and_leaving(studio, page, session, pages):
    other = pages(studio[1].url)
    page.front().set_number("Speed", 0.7)
    page.wait(lambda: session.snapshot.speed == 0.7, "the session to follow")
    other.front().wait(lambda: other.value("Speed") == "0.7", "the other page to follow")
    other.button("Pause").click()
    page.front().wait(lambda: page.button("Resume").count() == 1, "this page to follow")
    page.button("Resume").click()
    page.wait(lambda: not session.snapshot.paused, "resume")
    other.page.close()
    assert moves(session, page)
    again = pages(studio[1].url)
    assert again.value("Speed") == "0.7"
    again.page.goto("about:blank")
    again.page.wait_for_timeout(300)
    assert moves(session, page)
    again = pages(studio[1].url)
    studio[1]._server.viser._websock_server.disconnect_all_clients()
    again.page.wait_for_timeout(1500)
    again.wait(lambda: again.node("/world"), "the page to come back", 20.0)
    again.button("Pause").click()
    again.wait(lambda: session.snapshot.paused, "a command after coming back")


def test_refused_value_is_explained_in_the_page(page, session):
    session.notify("error", "Diverged", "The state is not finite: press Reset or Rewind.")
    page.wait(lambda: any("Diverged" in text for text in page.notifications()), "a notification")
    page.close_notifications()
    page.wait(lambda: "press Reset or Rewind" in page.text(), "the line that stays")


@pytest.mark.parametrize("dark", [True, False])
def test_nothing_overlaps(page, session, dark):
    if not dark:
        page.press("t")
    scheme = "dark" if dark else "light"
    page.wait(
        lambda: page.page.locator(f"[data-mantine-color-scheme={scheme}]").count() > 0, scheme
    )
    for tab, nth in (("Controller", 1), ("Weights", 0), ("View", 0), ("Run", 0)):
        page.tab(tab, nth)
        page.page.wait_for_timeout(300)
        boxes = page.boxes("input", "label", "button.mantine-Button-root", ".gpc-state", ".uplot")
        shown = [box for box in boxes if box["bottom"] <= 720]
        assert len(shown) > 8
        for box in shown:
            assert box["left"] >= -0.5 and box["right"] <= 1280.5, box
        for i, a in enumerate(shown):
            for b in shown[i + 1 :]:
                width = min(a["right"], b["right"]) - max(a["left"], b["left"])
                height = min(a["bottom"], b["bottom"]) - max(a["top"], b["top"])
                assert min(width, height) < 2.0, (
                    f"{tab}: {a['text']!r} at {a}, {b['text']!r} at {b}"
                )
    if not dark:
        page.press("t")
        page.wait(lambda: page.page.locator("[data-mantine-color-scheme=dark]").count() > 0, "dark")


def test_stop_is_quick_with_a_page_open(session, pages):
    frontend = WebFrontend(session, port=0).start()
    pages(frontend.url)
    started = time.monotonic()
    frontend.stop()
    assert time.monotonic() - started < 2.0
