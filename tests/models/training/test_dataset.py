import json

import numpy as np
import pytest

from gpc_studio.models.training.collect import EpisodeKeeper, ShardWriter
from gpc_studio.models.training.dataset import (
    SHARD_EPISODES,
    Dataset,
    DatasetError,
    EpisodeRecord,
    Sequences,
    difference,
)
from gpc_studio.scenes import load_task
from gpc_studio.scenes.state import State

SETTINGS = {"task": "pendulum", "planning": {"knots": 3, "horizon": 1.0}, "seed": 0}


def episode(index, plans=4, success=True):
    rng = np.random.default_rng(index)
    record = EpisodeRecord(index, index + 100, success, 10 * plans, plans)
    if not success:
        return record, None
    rows = {
        "knots": (plans, 3, 1),
        "previous": (plans, 3, 1),
        "observation": (plans, 2),
        "last_observation": (plans, 2),
    }
    arrays = {n: rng.standard_normal(shape).astype(np.float32) for n, shape in rows.items()}
    return record, Sequences(**arrays, episode=np.full(plans, index))


def contents(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_what_goes_in_comes_out(tmp_path):
    dataset = Dataset.begin(tmp_path, SETTINGS)
    first, second = episode(0), episode(2, plans=2)
    dataset.add({0: first, 1: episode(1, success=False), 2: second})
    found = Dataset(tmp_path)
    assert found.settings == SETTINGS
    assert [r.index for r in found.episodes()] == [0, 1, 2]
    assert [r.success for r in found.episodes()] == [True, False, True]
    for name, value in found.sequences()._asdict().items():
        expected = np.concatenate([getattr(first[1], name), getattr(second[1], name)])
        np.testing.assert_array_equal(value, expected)


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (3, 1, 0, 2)])
@pytest.mark.parametrize("pieces", [1, 2, 4])
def test_bits_do_not_depend_on_how_it_was_written(tmp_path, order, pieces):
    whole = Dataset.begin(tmp_path / "whole", SETTINGS)
    whole.add({i: episode(i, success=i != 1) for i in range(4)})
    pieced = Dataset.begin(tmp_path / "pieced", SETTINGS)
    for part in np.array_split(order, pieces):
        pieced.add({i: episode(i, success=i != 1) for i in part.tolist()})
    assert contents(whole.folder) == contents(pieced.folder)


def test_a_shard_is_written_when_it_is_complete_or_at_the_end(tmp_path):
    dataset = Dataset.begin(tmp_path, SETTINGS)
    missing = [0, 1, SHARD_EPISODES]
    writer = ShardWriter(dataset, missing)
    writer.add(*episode(1))
    assert dataset.episodes() == []
    writer.add(*episode(0))
    assert [r.index for r in dataset.episodes()] == [0, 1]
    writer.add(*episode(SHARD_EPISODES))
    assert len(list(tmp_path.glob("shard_*"))) == 2
    interrupted = ShardWriter(dataset, [2, 3])
    interrupted.add(*episode(3))
    interrupted.flush()
    assert [r.index for r in dataset.episodes()] == [0, 1, 3, SHARD_EPISODES]


def test_other_settings_are_not_mixed_in(tmp_path):
    Dataset.begin(tmp_path, SETTINGS)
    changed = {**SETTINGS, "planning": {"knots": 3, "horizon": 2.0}}
    with pytest.raises(DatasetError, match=r"planning\.horizon: 1\.0, now 2\.0.*--fresh"):
        Dataset.begin(tmp_path, changed)


def test_there_must_be_a_dataset_and_successes(tmp_path):
    with pytest.raises(DatasetError, match="gpc-studio collect"):
        Dataset(tmp_path)
    dataset = Dataset.begin(tmp_path, SETTINGS)
    dataset.add({0: episode(0, success=False)})
    with pytest.raises(DatasetError, match="no successful episode"):
        dataset.sequences()


@pytest.mark.parametrize("damage", ["cut", "noise", "empty", "other"])
def test_a_damaged_shard_is_told(tmp_path, damage):
    dataset = Dataset.begin(tmp_path, SETTINGS)
    dataset.add({0: episode(0)})
    (path,) = tmp_path.glob("shard_*")
    content = path.read_bytes()
    path.write_bytes(
        {
            "cut": content[: len(content) // 2],
            "noise": b"\xff" * 100,
            "empty": b"",
            "other": (2).to_bytes(8, "little") + b"{}",
        }[damage]
    )
    for read in (dataset.sequences, dataset.episodes):
        with pytest.raises(DatasetError, match=f"{path.name}: damaged") as told:
            read()
        assert "\n" not in str(told.value)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": 99, "settings": {}}'])
def test_a_damaged_manifest_is_told(tmp_path, text):
    (tmp_path / "dataset.json").write_text(text)
    with pytest.raises(DatasetError, match=r"dataset\.json"):
        Dataset(tmp_path)


def test_clear_leaves_other_files(tmp_path):
    dataset = Dataset.begin(tmp_path, SETTINGS)
    dataset.add({0: episode(0)})
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "dataset.json").write_text("{")  # also one that cannot be read any more
    Dataset.clear(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_clear_takes_no_files_of_others(tmp_path):
    (tmp_path / "shard_00000.safetensors").write_bytes(b"mine")
    Dataset.clear(tmp_path)
    Dataset.clear(tmp_path / "nowhere")
    assert [path.name for path in tmp_path.iterdir()] == ["shard_00000.safetensors"]


def test_the_first_episodes_alone(tmp_path):
    dataset = Dataset.begin(tmp_path, SETTINGS)
    dataset.add({i: episode(i, success=i != 0) for i in range(4)})
    assert [r.index for r in dataset.episodes(3)] == [0, 1, 2]
    assert set(dataset.sequences(3).episode.tolist()) == {1, 2}
    assert set(dataset.sequences().episode.tolist()) == {1, 2, 3}
    with pytest.raises(DatasetError, match="no successful episode"):
        dataset.sequences(1)


def test_the_first_difference_is_named():
    assert difference({"a": {"b": 1, "c": 2}}, {"a": {"b": 1, "c": 3}}) == "a.c: 2, now 3"
    assert difference({"a": 1}, {"a": 1, "b": 2}) == "b: None, now 2"
    assert difference(SETTINGS, json.loads(json.dumps(SETTINGS))) == ""


class Before:
    """Memory of a planner before a step, as far as it is recorded."""

    def __init__(self, time, executed, observation):
        self.time, self.executed, self.observation = time, executed, observation


def test_a_keeper_sorts_by_episode_and_keeps_successes():
    from gpc_studio.controllers.registry import default_options

    task = load_task("pendulum")
    options = default_options(task, "cem")
    keeper = EpisodeKeeper(task, options)
    quat = np.tile([[1.0, 0.0, 0.0, 0.0]], (3, 1, 1))
    for step in range(3):
        qpos = np.array([[0.1], [0.2], [0.3]]) + step
        state = State(
            np.full(3, 0.02 * step), qpos, 0 * qpos, np.zeros((3, 0)), np.zeros((3, 3)),
            np.zeros((3, 1, 3)), quat,
        )  # fmt: skip
        before = Before(state.time, np.zeros((3, 6, 1)), np.full((3, 3), step))
        keeper.planned([7, None, 9], state, before, np.full((3, 6, 1), float(step)))
    record, kept = keeper.ended(7, 70, True, 3)
    assert (record.index, record.seed, record.plans) == (7, 70, 3)
    np.testing.assert_array_equal(kept.episode, [7, 7, 7])
    np.testing.assert_array_equal(kept.knots[:, 0, 0], [0, 1, 2])
    np.testing.assert_array_equal(kept.last_observation[:, 0], [0, 1, 2])
    np.testing.assert_allclose(kept.observation[:, 0], np.cos(0.1 + np.arange(3)), atol=1e-6)
    record, kept = keeper.ended(9, 90, False, 3)
    assert kept is None
    assert (record.success, record.plans) == (False, 3)
