from dataclasses import replace

import pytest

from gpc_studio.models import library
from gpc_studio.models.checkpoint import CheckpointError, save
from gpc_studio.scenes import load_task, task_class
from tests.models.test_checkpoint import TASK, checkpoint


@pytest.fixture(autouse=True)
def folders(tmp_path, monkeypatch):
    """Folders of the shipped and of the user's checkpoints."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    shipped = tmp_path / "shipped"
    shipped.mkdir()
    monkeypatch.setattr(library, "shipped_dir", lambda: shipped)
    return shipped, library.user_dir()


def put(folder, name, task="pendulum"):
    path = folder / f"{name}.safetensors"
    save(path, replace(checkpoint(), task=task))
    return path


def test_without_files_there_are_none(folders):
    assert library.available(TASK) == ()
    with pytest.raises(CheckpointError, match=r"none so far: train one.*train pendulum"):
        library.find("pendulum", TASK)


def test_shipped_and_own_are_found_by_name(folders):
    shipped, own = folders
    put(shipped, "pendulum")
    mine = put(own, "a-slow-one")
    put(own, "other", task="cart_pole")
    assert library.available(TASK) == ("pendulum", "a-slow-one")
    assert library.available(task_class("cart_pole")) == ("other",)
    assert library.find("a-slow-one", TASK) == mine
    with pytest.raises(
        CheckpointError, match=r"one of pendulum, a-slow-one.*did you mean pendulum\?"
    ):
        library.find("pendulun", TASK)


def test_a_users_checkpoint_hides_a_shipped_one(folders):
    shipped, own = folders
    put(shipped, "pendulum")
    mine = put(own, "pendulum")
    assert library.available(TASK) == ("pendulum",)
    assert library.find("pendulum", TASK) == mine


def test_a_task_takes_those_of_its_kin_after_its_own(folders):
    shipped, own = folders

    class Kin(task_class("pendulum")):
        name = "kin"
        policies_of = ("pendulum",)

    put(shipped, "pendulum")
    put(own, "z", task="kin")
    assert library.available(Kin) == ("z", "pendulum")
    assert library.available(TASK) == ("pendulum",)


def test_broken_files_are_not_offered_and_explain_themselves_when_asked_for(folders):
    _, own = folders
    path = put(own, "broken")
    path.write_bytes(b"nonsense")
    (own / "folder.safetensors").mkdir()
    (own / "bad name.safetensors").write_bytes(b"")
    assert library.available(TASK) == ()
    assert library.find("broken", TASK) == path


@pytest.mark.parametrize(
    "name", ["../secret", "a/b", "/etc/passwd", "..", "", "a.b", "a\0b", "ä", "x" * 65, "-rf"]
)
def test_paths_are_not_names(folders, name):
    _, own = folders
    put(own.parent, "secret")
    with pytest.raises(CheckpointError) as caught:
        library.find(name, TASK)
    assert str(caught.value).isprintable()
    with pytest.raises(CheckpointError, match="expected a name of at most 64 letters"):
        library.path_for(name)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("push T, 2nd try", "push-T-2nd-try"),
        ("../../x", "x"),
        ("é", "policy"),
        ("a" * 99, "a" * 64),
    ],
)
def test_any_text_has_a_nearest_name(text, name):
    assert library.sanitised(text) == name
    assert library.path_for(name).parent == library.user_dir()


def test_the_command_line_may_give_a_path(folders, tmp_path):
    _, own = folders
    put(own, "mine")
    assert library.find_or_path("mine", TASK) == own / "mine.safetensors"
    elsewhere = tmp_path / "x.safetensors"
    assert library.find_or_path(str(elsewhere), TASK) == elsewhere
    assert library.find_or_path("x.safetensors", TASK).name == "x.safetensors"


def test_what_ships_is_sound(monkeypatch):
    """Every shipped checkpoint loads for the task that it names, and is under 1 MB."""
    monkeypatch.undo()
    from gpc_studio.models.checkpoint import load, task_of

    for path in sorted(library.shipped_dir().glob("*")):
        if path.suffix == library.SUFFIX:
            assert path.stat().st_size < 10**6
            load(path, load_task(task_of(path)))
