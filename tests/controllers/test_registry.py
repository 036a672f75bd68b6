"""The named controllers and their defaults."""

import subprocess
import sys

import pytest

from gpc_studio.controllers.registry import controller, controller_names, default_options
from gpc_studio.options import OptionError, describe
from tests.controllers.arm import Arm


def test_names_and_presets():
    names = ("predictive_sampling", "mppi", "cem", "tsallis_mppi", "dial_mpc")
    assert controller_names() == names
    for name in names:
        spec = controller(name)
        assert spec.name == name and spec.title and spec.summary.endswith(".")
        assert isinstance(spec.rule.options_type(), spec.options_type)
        assert {"samples", "horizon", "noise"} <= set(describe(spec.options_type))


def test_unknown_names_are_explained():
    with pytest.raises(KeyError, match=r"did you mean cem\?.*mppi"):
        controller("cme")


def test_defaults_of_the_task_override_those_of_the_controller(arm):
    cem, mppi = default_options(arm, "cem"), default_options(arm, "mppi")
    assert cem.horizon == mppi.horizon == 0.5
    assert cem.elites == 6 and mppi.temperature == 0.05
    assert mppi.samples == 32


@pytest.mark.parametrize(
    ("defaults", "message"),
    [
        ({"*": {"horizn": 1.0}}, "arm.*horizn"),
        ({"*": {"samples": 0}}, "arm.*samples: expected a whole number from 2 to 4096, got 0"),
        ({"cem": {"temperature": 1.0}}, "arm.*cem.*temperature"),
    ],
)
def test_bad_defaults_name_the_task(defaults, message):
    class Bad(Arm):
        pass

    Bad.defaults = defaults
    with pytest.raises(OptionError, match=message):
        default_options(Bad(), "cem")


def test_listing_controllers_does_not_load_mujoco():
    code = (
        "import sys; from gpc_studio.controllers.registry import controller_names;"
        "controller_names(); sys.exit('mujoco' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
