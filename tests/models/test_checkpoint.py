import json
import os
import struct
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy

from gpc_studio.models import container
from gpc_studio.models.checkpoint import (
    Checkpoint,
    CheckpointError,
    PlanFacts,
    Provenance,
    load,
    save,
    task_of,
)
from gpc_studio.scenes import load_task, task_class
from tests.models.policies import policy

TASK = load_task("pendulum")


def checkpoint(network="mlp", **changes) -> Checkpoint:
    trained = policy(network, width=8, controls=1, history=True, **changes)
    provenance = Provenance(
        "gpc", "gpc-studio train pendulum", 7, "1,280 episodes", 12.5, {"jax": "0.10.2"}
    )
    rows = ({"controller": "gpc", "episodes": 100, "success_rate": 0.98, "steps_mean": None},)
    plan = PlanFacts(horizon=1.0, spline="linear", rate=50.0)
    return Checkpoint.of(TASK, trained, plan, provenance, rows)


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "some.safetensors"
    save(path, checkpoint())
    return path


def same(a: Checkpoint, b: Checkpoint) -> bool:
    """Whether two checkpoints agree in every bit."""
    arrays = [jax.tree.leaves(one.policy) for one in (a, b)]
    return (
        jax.tree.structure(a.policy) == jax.tree.structure(b.policy)
        and all(
            np.asarray(x).tobytes() == np.asarray(y).tobytes() for x, y in zip(*arrays, strict=True)
        )
        and (a.task, a.plan, a.policy_range, a.provenance, a.results)
        == (b.task, b.plan, b.policy_range, b.provenance, b.results)
    )


def refused(path, match, task=None) -> None:
    with pytest.raises(CheckpointError, match=match) as caught:
        load(path, task)
    text = str(caught.value)
    assert text.startswith(str(path))
    assert text.isprintable()
    assert "\n" not in text
    assert len(text) < 800


def rewritten(path, *, content=None, tensors=None) -> None:
    """Writes the file again, with a checksum that fits."""
    held = container.read(path)
    text = json.loads(held.text)
    if content is not None:
        content(text)
    arrays = dict(held.tensors)
    if tensors is not None:
        tensors(arrays)
    container.write(path, json.dumps(text).encode(), arrays)


@pytest.mark.parametrize("network", ["mlp", "cnn"])
def test_a_checkpoint_comes_back_bit_for_bit(tmp_path, network):
    original = checkpoint(network)
    save(tmp_path / "a.safetensors", original)
    assert same(load(tmp_path / "a.safetensors", TASK), original)
    assert task_of(tmp_path / "a.safetensors") == "pendulum"


def test_the_same_checkpoint_gives_the_same_file_and_the_folder_is_made(tmp_path):
    one, other = tmp_path / "new" / "one.safetensors", tmp_path / "other.safetensors"
    save(one, checkpoint())
    save(other, checkpoint())
    assert one.read_bytes() == other.read_bytes()
    assert list(one.parent.iterdir()) == [one]


def test_the_file_is_safetensors_that_others_can_read(path):
    tensors = safetensors.numpy.load_file(path)
    weights = checkpoint().policy.weights
    np.testing.assert_array_equal(
        tensors["weights.hidden.0.kernel"], weights["hidden"][0]["kernel"]
    )
    assert set(tensors) == {
        "weights.knots.kernel", "weights.condition.kernel", "weights.condition.bias",
        "weights.time.kernel", "weights.hidden.0.kernel", "weights.hidden.0.bias",
        "weights.output.kernel", "weights.output.bias",
        "normaliser.mean", "normaliser.std", "normaliser.change",
    }  # fmt: skip


def test_the_planning_options_of_its_plans_are_known(path):
    loaded = load(path)
    assert loaded.planning == {"horizon": 1.0, "knots": 4, "spline": "linear", "rate": 50.0}
    assert loaded.knots == 4


def test_a_file_is_replaced_in_one_piece(path, monkeypatch):
    before = path.read_bytes()

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(CheckpointError, match="No space left on device"):
        save(path, checkpoint(seed=1))
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e6])
def test_a_policy_that_diverged_is_not_saved(tmp_path, bad):
    good = checkpoint()
    weights = jax.tree.map(lambda leaf: leaf.at[(0,) * leaf.ndim].set(bad), good.policy.weights)
    with pytest.raises(CheckpointError, match="training that diverged"):
        save(
            tmp_path / "bad.safetensors",
            replace(good, policy=replace(good.policy, weights=weights)),
        )
    assert not list(tmp_path.iterdir())


def test_values_that_no_plan_has_are_not_made():
    with pytest.raises(ValueError, match="horizon: expected a number from"):
        PlanFacts(horizon=60.0, spline="linear", rate=50.0)
    with pytest.raises(ValueError, match="spline: expected one of zero, linear, cubic"):
        PlanFacts(horizon=1.0, spline="bezier", rate=50.0)


def test_another_task_is_refused_with_both_names(path):
    refused(path, "expected a policy for cart_pole, got one for pendulum.*train cart_pole",
            load_task("cart_pole"))  # fmt: skip


def test_a_task_takes_the_policies_that_it_says_it_takes(path):
    class Heavier(task_class("pendulum")):
        name = "heavier"

    class Kin(Heavier):
        name = "kin"
        policies_of = ("pendulum",)

    refused(path, "expected a policy for heavier, got one for pendulum", Heavier())
    assert load(path, Kin()).task == "pendulum"


def test_a_task_that_has_changed_since_is_refused(path):
    class Seeing(task_class("pendulum")):
        def observe(self, state):
            return jnp.concatenate([super().observe(state), state.qpos])

    class Stronger(task_class("pendulum")):
        policy_range = 2.0 * TASK.control_range

    class Driven(task_class("pendulum")):
        nu = 2

    refused(path, "expected a policy for 4 observations.*got one for 3", Seeing())
    refused(path, "control limits that pendulum has now", Stronger())
    refused(path, "expected a policy for 2 controls.*got one for 1", Driven())


def test_what_is_no_checkpoint_is_refused(tmp_path):
    path = tmp_path / "x.safetensors"
    refused(path, "cannot be read .No such file")
    refused(tmp_path, "got a folder")
    for content in (b"", b"short", b"#!/bin/sh\necho hello, this is no checkpoint\n" * 9):
        path.write_bytes(content)
        refused(path, "expected a safetensors file")
    path.write_bytes(safetensors.numpy.save({"a": np.zeros(3)}))
    refused(path, "expected a checkpoint of GPC Studio")
    path.write_bytes(safetensors.numpy.save({"a": np.zeros(3)}, {"gpc_studio": "[1, 2"}))
    refused(path, "expected a checkpoint of GPC Studio")


def test_a_fifo_does_not_make_the_program_wait(tmp_path):
    os.mkfifo(tmp_path / "x.safetensors")
    refused(tmp_path / "x.safetensors", "got a folder or a device")


def test_a_pickle_is_not_executed(tmp_path):
    proof = tmp_path / "proof"
    path = tmp_path / "x.safetensors"
    path.write_bytes(b"cposix\nsystem\n(S'touch " + str(proof).encode() + b"'\ntR." + b" " * 99)
    refused(path, "expected a safetensors file")
    assert not proof.exists()


def test_what_claims_to_be_huge_is_refused_unread(tmp_path):
    path = tmp_path / "x.safetensors"
    with path.open("wb") as file:
        file.truncate(10 * 2**30)  # sparse
    refused(path, "expected at most 64 MB, got 10240 MB")
    path.write_bytes(struct.pack("<Q", 2**62) + b"{}" * 100)
    refused(path, "expected a safetensors file")
    path.write_bytes(struct.pack("<Q", 2**20) + b"[" * 2**20)
    refused(path, "expected a checkpoint of GPC Studio")
    deep = b'{"__metadata__":' + b"[" * 10**5 + b"]" * 10**5 + b"}"
    path.write_bytes(struct.pack("<Q", len(deep)) + deep)
    refused(path, "expected a checkpoint of GPC Studio")


@pytest.mark.parametrize("share", [0.05, 0.5, 0.99])
def test_a_part_of_a_file_is_refused(path, share):
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    refused(path, "part of one|damaged|expected a checkpoint")


def test_another_version_is_refused_with_the_way_on(path):
    for version, way in ((2, "update GPC Studio"), (0, "train it again")):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(container, "VERSION", version)
            save(path, checkpoint())
        refused(path, f"expected format version 1, got {version}: {way}")


def test_a_changed_weight_is_noticed(path):
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    refused(path, "damaged: its content differs from its checksum")


def test_a_changed_description_is_noticed(path):
    content = path.read_bytes()
    path.write_bytes(content.replace(b"0.98", b"0.99"))
    assert path.read_bytes() != content
    refused(path, "damaged")


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda c: c.pop("task"), "missing required field `task`"),
        (lambda c: c.update(task=3), "Expected `str`, got `int`"),
        (lambda c: c.update(note="x"), "unknown field `note`"),
        (lambda c: c["architecture"].update(width="wide"), r"Expected `int`.*architecture.width"),
        (lambda c: c["architecture"].update(width=2**40), "width: expected a whole number from 4"),
        (lambda c: c["architecture"].update(network="x\n<b>"), "network: expected one of"),
        (lambda c: c["architecture"].pop("knots"), "missing required field `knots`"),
        (lambda c: c["architecture"].update(knots=5), "weights.knots.kernel: expected float32"),
        (lambda c: c["architecture"].update(layers=3), "weights.hidden.1.bias is missing"),
        (lambda c: c["architecture"].update(layers=1), "unexpected tensor weights.hidden.0"),
        (lambda c: c["architecture"].update(network="cnn"), "tensor weights.* is missing"),
        (lambda c: c["plan"].update(horizon=-1), "horizon: expected a number from"),
        (lambda c: c["plan"].update(rate=None), "Expected `float`, got `null`"),
        (lambda c: c["plan"].update(spline="b"), "spline: expected one of"),
        (lambda c: c.update(policy_range=[[-1], [1, 1]]), "policy range of 1 controls"),
        (lambda c: c.update(policy_range=[[1], [-1]]), "lower control limits below upper"),
        (lambda c: c.update(policy_range=[[-1e308], [1e308]]), "policy range of 1 controls"),
        (lambda c: c.update(policy_range=[[None], [1]]), "Expected `float`, got `null`"),
        (lambda c: c.update(results=[[1]]), "Expected `object`, got `array`"),
        (lambda c: c["provenance"].update(seed="x"), "Expected `int`"),
    ],
)
def test_a_wrong_description_is_refused(path, change, match):
    rewritten(path, content=change)
    refused(path, match)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda t: t.pop("normaliser.mean"), "normaliser.mean is missing"),
        (lambda t: t.update(extra=np.zeros(2, np.float32)), "unexpected tensor extra"),
        (lambda t: t.update({"a\nb\x1b[31m": np.zeros(2, np.float32)}), "unexpected tensor a b"),
        (lambda t: t.update({"normaliser.mean": np.zeros(3)}), "float32 of .*got float64"),
        (lambda t: t.update({"normaliser.mean": np.zeros((3, 1), np.float32)}),
         r"shape \(3,\), got float32 of shape \(3, 1\)"),
        (lambda t: t["normaliser.std"].__setitem__(0, 0.0), "std: expected positive"),
        (lambda t: t["normaliser.change"].__setitem__(1, -1.0), "change: expected positive"),
        (lambda t: t["normaliser.std"].__setitem__(0, 1e-42), "std: expected positive"),
        (lambda t: t["weights.output.bias"].__setitem__(0, np.nan), "expected numbers within"),
        (lambda t: t["weights.output.bias"].__setitem__(0, -np.inf), "expected numbers within"),
    ],
)  # fmt: skip
def test_wrong_tensors_are_refused(path, change, match):
    def writable(tensors):
        for name, tensor in tensors.items():
            tensors[name] = tensor.copy()
        change(tensors)

    rewritten(path, tensors=writable)
    refused(path, match)


def test_text_out_of_a_file_cannot_break_the_line(path):
    def rename(content):
        content["task"] = "x\n\x1b[2J<script>" + "y" * 10_000

    rewritten(path, content=rename)
    refused(path, "expected a policy for pendulum, got one for x", TASK)


def test_a_content_that_is_no_json_is_refused(path):
    container.write(path, b"[[[[", dict(container.read(path).tensors))
    refused(path, "expected a checkpoint of GPC Studio")
    container.write(path, b"[]", {})
    refused(path, "its description is not one of a policy")
