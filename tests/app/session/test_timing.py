from __future__ import annotations

import pytest

from gpc_studio.app.session.timing import Pacer, RateMeter, RealTimeMeter


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.mark.parametrize("speed", [0.1, 1.0, 4.0])
def test_pacer_keeps_to_the_clock(speed):
    clock = Clock()
    pacer, step = Pacer(clock=clock), 0
    for _ in range(1000):
        step += pacer.due(step, 0.002, speed)
        clock.now += 0.004
    assert step == pytest.approx(1000 * 0.004 * speed / 0.002, abs=2 * speed + 1)


def test_a_slow_plant_drops_time_and_does_not_spiral():
    clock = Clock()
    pacer, step = Pacer(backlog=0.1, clock=clock), 0
    pacer.due(step, 0.01, 1.0)
    clock.now += 60.0  # a long standstill of the machine
    assert pacer.due(step, 0.01, 1.0) == 10
    step += 10
    clock.now += 0.01
    assert pacer.due(step, 0.01, 1.0) <= 1


def test_a_pause_is_not_made_up_for():
    clock = Clock()
    pacer = Pacer(clock=clock)
    pacer.due(0, 0.01, 1.0)
    pacer.hold()
    clock.now += 5.0
    assert pacer.due(0, 0.01, 1.0) == 0
    assert pacer.wait(0) == pytest.approx(0.01)


def test_a_new_speed_counts_from_now():
    clock = Clock()
    pacer = Pacer(clock=clock)
    pacer.due(0, 0.01, 0.1)
    clock.now += 0.05
    assert pacer.due(0, 0.01, 4.0) == 0
    clock.now += 0.05
    assert pacer.due(0, 0.01, 4.0) == 20


def test_real_time_factor():
    clock = Clock()
    meter = RealTimeMeter(clock=clock)
    assert meter.factor == 0
    for i in range(300):
        meter.mark(0.5 * i * 0.02)
        clock.now += 0.02
    assert meter.factor == pytest.approx(0.5)
    meter.clear()
    assert meter.factor == 0


def test_rate_is_that_of_the_plans_and_falls_without_them():
    meter = RateMeter()
    assert meter.rate(0.0) == 0
    for i in range(50):
        meter.mark(i * 0.05)
        meter.mark(i * 0.05)  # the same instant again is no further plan
    assert meter.rate(2.46) == pytest.approx(20)
    assert meter.rate(4.46) < 11
