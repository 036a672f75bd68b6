import json
import subprocess
import sys

import pytest

from gpc_studio.models.architecture import Architecture, NetworkOptions
from gpc_studio.options import OptionError, describe
from tests.models.policies import architecture


def test_an_architecture_comes_back_from_json_and_is_hashable():
    shape = architecture(history=True)
    again = Architecture(**json.loads(json.dumps(shape.as_json())))
    assert again == shape
    assert hash(again) == hash(shape)
    assert again != architecture()


def test_history_doubles_the_condition():
    assert architecture().condition == 3
    assert architecture(history=True).condition == 6


def test_sizes_have_to_be_said():
    with pytest.raises(TypeError, match="knots"):
        Architecture()


@pytest.mark.parametrize(
    ("field", "value"),
    [("network", "transformer"), ("width", 3), ("width", 2.5), ("layers", 0), ("knots", 33),
     ("observation", 0), ("history", 1), ("time_features", "many")],
)  # fmt: skip
def test_what_cannot_be_built_is_refused(field, value):
    with pytest.raises(OptionError, match=f"{field}: expected"):
        architecture(**{field: value})


def test_a_person_chooses_the_network_and_not_its_sizes():
    assert "knots" not in describe(NetworkOptions)
    chosen = NetworkOptions(network="cnn", width=64, layers=3, history=True)
    shape = Architecture.of(chosen, knots=5, controls=1, observation=8)
    assert (shape.network, shape.width, shape.layers, shape.history) == ("cnn", 64, 3, True)
    assert (shape.knots, shape.controls, shape.observation) == (5, 1, 8)


def test_architectures_and_the_library_load_neither_jax_nor_flax():
    code = (
        "import sys; import gpc_studio.models.architecture, gpc_studio.models.library;"
        "import gpc_studio.models.checkpoint;"
        "print([m for m in ('mujoco', 'jax', 'flax', 'safetensors') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
