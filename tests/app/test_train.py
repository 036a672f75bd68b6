import errno
import json
import os
import re
import signal
import time
from pathlib import Path

import jax
import numpy as np
import pytest

from gpc_studio.app import cli
from gpc_studio.app.errors import UsageError
from gpc_studio.app.train import command, curves, stopping
from gpc_studio.app.train.show import histogram
from gpc_studio.app.train.stopping import Stopped, Stopping
from gpc_studio.app.train.telling import Teller
from gpc_studio.models.checkpoint import load
from gpc_studio.models.library import available
from gpc_studio.models.training.dataset import Dataset
from gpc_studio.options import OptionError
from gpc_studio.scenes import load_task
from tests.small_training import GPC

COLLECT = [
    "--episodes", "5", "--batch", "2", "--samples", "24", "--iterations", "1",
    "--set", "rate=25",
]  # fmt: skip
FIT = ["--width", "8", "--layers", "1", "--minibatch", "16", "--steps", "30", "--warmup", "2"]
OFFLINE = ["train", "pendulum", "--method", "offline", *COLLECT, *FIT]


@pytest.fixture(scope="module", autouse=True)
def compiled_once(compile_once):
    """These tests run few programs many times."""


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    return tmp_path / "gpc-studio"


def arrays(path):
    policy = load(path).policy
    return [np.asarray(leaf) for leaf in jax.tree.leaves(policy)]


def same(a, b):
    return all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


def stop_after(monkeypatch, checks):
    """Ctrl+C at the given number of looks."""
    left = [checks]

    def check(self):
        left[0] -= 1
        if left[0] == 0:
            self.ask()
        if self.asked:
            raise Stopped

    monkeypatch.setattr(Stopping, "check", check)


def test_gpc_from_start_to_end(home, capsys):
    assert cli.run(GPC) == 0
    path = home / "checkpoints" / "pendulum_gpc.safetensors"
    told = capsys.readouterr().out
    assert str(path) in told
    checkpoint = load(path, load_task("pendulum"))
    assert available(load_task("pendulum"))[-1] == "pendulum_gpc"
    assert checkpoint.plan.horizon == 0.2
    assert checkpoint.provenance.method == "gpc"
    assert checkpoint.provenance.command == "gpc-studio " + " ".join(GPC)
    assert "2 rounds of 4 episodes" in checkpoint.provenance.data
    assert checkpoint.provenance.versions["jax"] == jax.__version__

    folder = path.with_suffix("")
    entries = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [entry["step"] for entry in entries] == [1, 2]
    assert {"loss", "policy_best", "best_cost", "policy_cost", "seconds"} <= set(entries[0])
    assert (folder / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert list(folder.glob("events.out.tfevents.*"))
    assert same(arrays(folder / "round_002.safetensors"), arrays(path))
    assert not same(arrays(folder / "round_001.safetensors"), arrays(path))

    assert cli.run(GPC) == 0
    assert "already trained" in capsys.readouterr().out


@pytest.mark.parametrize("checks", [3, 9])
def test_gpc_that_was_stopped_ends_with_the_same_bits(home, monkeypatch, capsys, checks):
    assert cli.run([*GPC, "--name", "whole"]) == 0
    with monkeypatch.context() as patch:
        stop_after(patch, checks)
        assert cli.run([*GPC, "--name", "stopped"]) == 130
    assert "goes on" in capsys.readouterr().err
    checkpoints = home / "checkpoints"
    assert not (checkpoints / "stopped.safetensors").exists()
    done = len(list((checkpoints / "stopped").glob("round_*")))
    assert done == (0 if checks == 3 else 1)
    assert cli.run([*GPC, "--name", "stopped"]) == 0
    whole, stopped = (arrays(checkpoints / f"{name}.safetensors") for name in ("whole", "stopped"))
    assert same(whole, stopped)
    lines = (checkpoints / "stopped" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [1, 2]


def test_offline_that_was_stopped_twice_ends_with_the_same_bits(home, monkeypatch):
    assert cli.run([*OFFLINE, "--name", "whole"]) == 0
    checkpoints = home / "checkpoints"
    looks = count_looks(monkeypatch, [*OFFLINE, "--name", "counted"])
    with monkeypatch.context() as patch:
        stop_after(patch, 2)  # while collecting
        assert cli.run([*OFFLINE, "--name", "stopped"]) == 130
    with monkeypatch.context() as patch:
        stop_after(patch, looks)  # just before the end of the fit
        assert cli.run([*OFFLINE, "--name", "stopped", "--data",
                        str(checkpoints / "counted" / "data")]) == 130  # fmt: skip
    assert cli.run([*OFFLINE, "--name", "stopped", "--data",
                    str(checkpoints / "counted" / "data")]) == 0  # fmt: skip
    whole = arrays(checkpoints / "whole.safetensors")
    assert same(whole, arrays(checkpoints / "stopped.safetensors"))
    provenance = load(checkpoints / "whole.safetensors").provenance
    assert provenance.method == "offline"
    assert "successful episodes of 5, cem with 24 samples" in provenance.data


def count_looks(monkeypatch, arguments):
    """Runs a training whose dataset is complete at the second run; how often the fit looks."""
    assert cli.run(arguments) == 0
    folder = arguments[arguments.index("--name") + 1]
    seen = []
    with monkeypatch.context() as patch:
        patch.setattr(Stopping, "check", lambda self: seen.append(1))
        data = os.environ["XDG_DATA_HOME"] + f"/gpc-studio/checkpoints/{folder}/data"
        assert cli.run([*arguments, "--data", data, "--name", "looks"]) == 0
    return len(seen)


def test_a_stopped_collection_goes_on_to_the_same_bits(home, monkeypatch, capsys):
    def contents(folder):
        return {p.name: p.read_bytes() for p in folder.iterdir() if p.suffix != ".lock"}

    whole, stopped = home / "whole", home / "stopped"
    arguments = ["collect", "pendulum", *COLLECT]
    assert cli.run([*arguments, "--data", str(whole)]) == 0
    shown = capsys.readouterr().out
    with monkeypatch.context() as patch:
        stop_after(patch, 8)
        assert cli.run([*arguments, "--data", str(stopped)]) == 130
    # Fewer episodes first, then all of them: more are added to what is there.
    fewer = [word if word != "5" else "3" for word in arguments]
    assert cli.run([*fewer, "--data", str(stopped)]) == 0
    assert len(Dataset(stopped).episodes()) >= 3
    assert cli.run([*arguments, "--data", str(stopped)]) == 0
    names = [name for name in contents(whole) if name.startswith(("shard", "dataset"))]
    assert len(names) == 2
    assert all(contents(whole)[name] == contents(stopped)[name] for name in names)

    capsys.readouterr()
    assert cli.run(["collect", "pendulum", "--show", "--data", str(whole)]) == 0
    assert shown.endswith(capsys.readouterr().out)
    for text in ("cem, 24 samples x 1", "episodes", "success", "plans kept", "observation 2"):
        assert text in shown


def test_a_collection_begins_anew(home):
    folder = home / "data"
    few = ["collect", "pendulum", *COLLECT, "--episodes", "1", "--data", str(folder)]
    assert cli.run([*few, "--fresh"]) == 0  # though there is nothing to drop yet
    assert cli.run([*few, "--seed", "1"]) == 2
    assert cli.run([*few, "--seed", "1", "--fresh"]) == 0
    assert Dataset(folder).settings["seed"] == 1
    assert len(Dataset(folder).episodes()) == 1


def test_a_training_is_not_mixed_with_another(home, monkeypatch, capsys):
    with monkeypatch.context() as patch:
        stop_after(patch, 2)
        assert cli.run(GPC) == 130
    capsys.readouterr()
    assert cli.run([*GPC, "--noise", "0.3"]) == 2
    told = capsys.readouterr().err
    assert "options.noise: 0.1, now 0.3" in told
    assert "--name" in told and "--fresh" in told
    assert cli.run([*GPC, "--noise", "0.3", "--fresh"]) == 0


def test_fresh_is_not_repeated_to_go_on(home, monkeypatch, capsys):
    for arguments in (GPC, ["collect", "pendulum", *COLLECT]):
        with monkeypatch.context() as patch:
            stop_after(patch, 2)
            assert cli.run([*arguments, "--fresh"]) == 130
        told = capsys.readouterr().err
        assert f"`gpc-studio {' '.join(arguments)}` goes on" in told


def test_other_data_are_collected_when_a_training_begins_anew(home, capsys):
    data = home / "checkpoints" / "pendulum_offline" / "data"
    assert cli.run(OFFLINE) == 0
    shard = data / "shard_00000.safetensors"
    collected = shard.stat().st_mtime_ns
    capsys.readouterr()
    # Told before anything is collected.
    assert cli.run([*OFFLINE, "--episodes", "6"]) == 2
    assert "episodes: 5, now 6" in capsys.readouterr().err
    assert len(Dataset(data).episodes()) == 5
    assert cli.run([*OFFLINE, "--episodes", "4", "--fresh"]) == 0  # the same data, less of them
    assert shard.stat().st_mtime_ns == collected
    policy = data.parent.with_suffix(".safetensors")
    assert "successful episodes of 4," in load(policy).provenance.data
    assert cli.run([*OFFLINE, "--seed", "1"]) == 2
    assert cli.run([*OFFLINE, "--seed", "1", "--fresh"]) == 0
    assert Dataset(data).settings["seed"] == 1


def test_a_checkpoint_from_elsewhere_is_not_replaced(home, capsys):
    path = home / "checkpoints" / "pendulum_gpc.safetensors"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"a friend's")
    assert cli.run(GPC) == 2
    told = capsys.readouterr().err
    assert "is there already" in told and "--name" in told and "--fresh" in told
    assert path.read_bytes() == b"a friend's"


def test_a_full_disk_is_told_in_a_line(home, monkeypatch, capsys):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "somewhere")

    monkeypatch.setattr("gpc_studio.models.training.saved.write_atomically", full)
    monkeypatch.setattr("gpc_studio.models.training.dataset.write_atomically", full)
    for arguments in (GPC, ["collect", "pendulum", *COLLECT]):
        assert cli.run(arguments) == 2
        assert "somewhere: No space left on device; the same command" in capsys.readouterr().err


def test_data_of_another_shape_are_refused(home, capsys):
    from gpc_studio.models.training.dataset import EpisodeRecord, Sequences

    folder = home / "data"
    dataset = Dataset.begin(folder, {"task": "pendulum", "planning": {}})
    rows = [np.zeros((2, *shape)) for shape in ((3, 1), (3, 1), (5,), (5,))]
    dataset.add({0: (EpisodeRecord(0, 0, True, 2, 2), Sequences(*rows, np.zeros(2, np.int64)))})
    assert cli.run(["train", "pendulum", "--method", "offline", "--data", str(folder)]) == 2
    assert "observations, as pendulum has now, got 5: collect it" in capsys.readouterr().err


def test_a_listener_that_is_gone_does_not_end_a_training(monkeypatch):
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "w") as pipe, Teller(json_lines=True) as teller:
        monkeypatch.setattr("sys.stdout", pipe)
        teller.progress("fit", 0.5, "half")
        teller.end("stopped", "saved")
        monkeypatch.undo()
        with pytest.raises(BrokenPipeError):
            pipe.flush()
        with open(os.devnull, "w") as sink:
            os.dup2(sink.fileno(), pipe.fileno())


def test_data_of_another_task_are_refused(home, capsys):
    folder = home / "data"
    Dataset.begin(folder, {"task": "cart_pole"})
    assert cli.run(["train", "pendulum", "--method", "offline", "--data", str(folder)]) == 2
    assert "expected data of pendulum, got those of 'cart_pole'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train"], "expected a task first"),
        (["train", "pendulm"], "did you mean pendulum"),
        (["train", "pendulum", "--method", "gpx"], "did you mean gpc"),
        (["train", "pendulum", "--seed", "-1"], "--seed"),
        (["train", "pendulum", "--name", "../evil"], "expected a name"),
        (["train", "pendulum", "--data", "x"], "--method offline takes data"),
        (["train", "pendulum", "--rule", "cme"], "did you mean cem"),
        (["train", "pendulum", "--rule", "gpc"], "no controller 'gpc'"),
        (["train", "pendulum", "--set", "horizn=2"], "did you mean horizon"),
        (["train", "pendulum", "--set", "horizon"], "name=value"),
        (["train", "pendulum", "--weight", "angel=2"], "did you mean angle"),
        (["train", "pendulum", "--method", "offline", "--data", "nowhere"], "no dataset here"),
        (["collect", "pendulum", "--show", "--data", "nowhere"], "no dataset here"),
        (["collect", "pendulum", "--controller", "cme"], "did you mean cem"),
        (["collect"], "expected a task first"),
    ],
)
def test_mistakes_are_told_in_a_line(arguments, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cli.run(arguments) == 2
    told = capsys.readouterr().err
    assert message in told
    assert "Traceback" not in told


def test_a_task_of_ones_own_with_a_wrong_recipe_is_told(tmp_path, capsys):
    model = load_task("pendulum").model_path
    path = tmp_path / "mine.py"
    path.write_text(
        "from gpc_studio.scenes.pendulum.task import Pendulum\n"
        "class Mine(Pendulum):\n"
        "    name = 'mine'\n"
        f"    mjcf = {str(model)!r}\n"
        "    training = {'gpc': {'widht': 8}}\n"
    )
    assert cli.run(["train", str(path)]) == 2
    assert "training defaults of task mine for gpc: widht" in capsys.readouterr().err


def test_two_trainings_do_not_share_a_folder(home):
    from gpc_studio.app.train.run_folder import only_trainer

    folder = home / "checkpoints" / "pendulum_gpc"
    with only_trainer(folder), pytest.raises(UsageError, match="another process"):
        command.command(GPC[1:])


@pytest.mark.parametrize("flag", [["--width", "3"], ["--iterations", "x"], ["--no-such-flag"]])
def test_flags_are_checked(flag):
    with pytest.raises((SystemExit, OptionError)):
        cli.run(["train", "pendulum", *flag])


def test_signals_ask_to_stop_and_a_second_interrupt_ends():
    before = signal.getsignal(signal.SIGINT)
    with stopping.stopping_on_signals(with_parent=False) as asked:
        asked.check()
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(Stopped):
            asked.check()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(1.0)
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize("method", sorted(curves.PANELS))
def test_curves_are_drawn_even_without_data(tmp_path, method):
    scalars = {c.scalar for panel in curves.PANELS[method] for c in panel.curves}
    entries = [{"step": i, **dict.fromkeys(scalars, 1.0 / i)} for i in range(1, 6)]
    entries.append({"step": 6, **dict.fromkeys(scalars)})
    sizes = []
    for given in ([], entries):
        path = tmp_path / "curves.png"
        curves.draw(path, method, "Pendulum", given)
        sizes.append(path.stat().st_size)
        assert [p.name for p in tmp_path.iterdir()] == ["curves.png"]
    assert sizes[1] > sizes[0]


def test_histograms_show_where_values_are():
    drawn = histogram(np.array([0.0] * 99 + [1.0]))
    assert drawn[0] == "█" and drawn[-1] == "▁"
    assert set(drawn[1:-1]) == {" "}


def test_the_documented_worker_runs():
    page = (Path(__file__).resolve().parents[2] / "docs" / "training.md").read_text()
    (block,) = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)
    names: dict = {}
    exec(compile(block, "training.md", "exec"), names)
    assert not names["worker"].running


@pytest.mark.parametrize("method", command.METHODS)
def test_documented_flags_exist(method):
    page = (Path(__file__).resolve().parents[2] / "docs" / "training.md").read_text()
    asked = command.read(["pendulum", "--method", method])
    known = {*asked.flags, *command.read(["pendulum"]).flags, "show", "episodes"}
    flags = set(re.findall(r"(?<!tensorboard )--([a-z][a-z-]+)", page))
    unknown = {flag for flag in flags if flag.replace("-", "_") not in known}
    assert unknown <= {"logdir", "help", "task", "controller", "checkpoint"}
