import os
import subprocess
import sys

import pytest

from gpc_studio.app import arguments, cli, run
from gpc_studio.app.errors import UsageError
from gpc_studio.app.session import SessionOptions
from gpc_studio.controllers.registry import controller_names, default_options
from gpc_studio.options import Option, OptionError, describe, option
from gpc_studio.scenes import load_task, task_names


def program(*args, **kwargs):
    return subprocess.run(
        [sys.executable, "-m", "gpc_studio", *args], capture_output=True, text=True, **kwargs
    )


def test_help_lists_the_commands(capsys):
    assert cli.run(["--help"]) == 0
    shown = capsys.readouterr().out
    for command in cli.COMMANDS:
        assert command.summary in shown


def test_every_command_can_be_loaded():
    for command in cli.COMMANDS:
        assert callable(command.load())


def test_an_unknown_command_is_told(capsys):
    assert cli.run(["evalute"]) == 2
    assert "did you mean evaluate" in capsys.readouterr().err


@pytest.mark.parametrize("first", [(), ("--task", "push_t"), ("--headless",)])
def test_run_is_the_default(first, monkeypatch):
    seen = []
    monkeypatch.setattr(run, "command", lambda rest: seen.append(tuple(rest)) or 0)
    assert cli.run(first) == 0
    assert cli.run(["run", *first]) == 0
    assert seen == [first, first]


@pytest.mark.parametrize("command", ["--help", "--version", "list"])
def test_light_commands_import_nothing_heavy(command):
    code = (
        "import sys; from gpc_studio.app import cli; cli.run([sys.argv[1]]);"
        "print([m for m in ('mujoco', 'viser', 'shapely') if m in sys.modules]);"
        "print('jax' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, command], capture_output=True, text=True, check=True
    )
    *_, heavy, jax = done.stdout.splitlines()
    assert heavy == "[]"
    assert jax == "False" or command == "list"


def test_list_has_one_line_for_each(capsys):
    assert cli.run(["list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    for name in (*task_names(), *controller_names(), "native", "analytic"):
        (line,) = [line for line in lines if line.split()[:1] == [name]]
        assert len(line.split()) > 3


def test_options_and_weights_become_flags():
    settings = run.read_settings(
        ["--task", "cart_pole", "--controller=mppi", "--seed", "3", "--headless", "--samples", "48",
         "--temperature", "0.2", "--spline", "zero", "--weights.effort", "0.5"]
    )  # fmt: skip
    assert settings.task.name == "cart_pole"
    assert (settings.run.controller, settings.session.seed) == ("mppi", 3)
    assert settings.run.headless
    assert settings.options["samples"] == 48
    assert settings.options["temperature"] == 0.2
    assert settings.options["spline"] == "zero"
    assert settings.weights == load_task("cart_pole").default_weights() | {"effort": 0.5}


def test_without_flags_everything_has_its_default():
    settings = run.read_settings([])
    assert settings.run == run.RunOptions()
    assert settings.session == SessionOptions()
    defaults = default_options(settings.task, settings.run.controller)
    assert settings.options == vars(defaults)
    assert settings.weights == settings.task.default_weights()


@pytest.mark.parametrize("name", controller_names())
def test_help_shows_every_option_with_its_range(name, capsys):
    with pytest.raises(SystemExit) as end:
        run.read_settings(["--task", "pendulum", "--controller", name, "--help"])
    assert end.value.code == 0
    shown = " ".join(capsys.readouterr().out.replace("│", " ").split())
    options = describe(type(default_options(load_task("pendulum"), name)))
    for key, facts in options.items():
        assert f"--{key.replace('_', '-')}" in shown
        assert facts.help in shown
    assert "From 0.1 to 5 s." in shown  # the horizon's range and unit
    assert "--weights.effort" in shown


@pytest.mark.parametrize(
    ("arguments_", "message"),
    [
        (["--samples", "1"], "samples: expected a whole number from 2 to 4096, got 1"),
        (["--samples", "many"], "samples: expected a whole number from 2 to 4096, got 'many'"),
        (["--samples", "2.5"], "samples: expected a whole number"),
        (["--horizon", "nan"], "horizon: expected a number from 0.1 to 5 s"),
        (["--spline", "quintic"], "spline: expected one of zero, linear, cubic"),
        (["--weights.effort", "-1"], "effort: expected a number from 0 to"),
        (["--speed", "100"], "speed: expected a number from 0.1 to 4"),
        (["--port", "99999"], "port: expected a whole number from 0 to 65535"),
        (["--mode", "fast"], "mode: expected one of real-time, lock-step"),
        (["--sample", "3"], "--samples"),
    ],
)
def test_bad_values_are_told(arguments_, message, capsys):
    with pytest.raises(SystemExit) as end:
        run.read_settings(arguments_)
    assert end.value.code == 2
    shown = " ".join(capsys.readouterr().err.replace("│", " ").split())
    assert message in shown


@pytest.mark.parametrize("token", ["short", "0123456789abcde", "0123456789 abcdef", "ü" * 20])
def test_a_weak_token_is_refused_and_not_shown(token):
    with pytest.raises(UsageError, match="--token: expected at least 16 letters") as refused:
        run.read_settings(["--token", token])
    assert token not in str(refused.value)


def test_the_program_ends_with_code_2_and_without_a_traceback():
    for args in (["--samples", "1"], ["--task", "pendulm"], ["--controller", "mpi"]):
        done = program(*args)
        assert done.returncode == 2
        assert "Traceback" not in done.stderr
        assert done.stdout == ""
        assert "expected" in done.stderr or "did you mean" in done.stderr


@pytest.fixture
def config(tmp_path):
    def write(text):
        path = tmp_path / "config.yaml"
        path.write_text(text)
        return ["--config", str(path)]

    return write


def test_a_configuration_file_has_the_same_keys_and_flags_win(config):
    flags = config(
        "task: cart_pole\ncontroller: cem\nseed: 5\nmode: lock-step\n"
        "options: {samples: 40, horizon: 0.5}\nweights: {effort: 0.25}\n"
    )
    settings = run.read_settings(flags)
    assert (settings.task.name, settings.run.controller) == ("cart_pole", "cem")
    assert (settings.session.seed, settings.session.mode) == (5, "lock-step")
    assert (settings.options["samples"], settings.options["horizon"]) == (40, 0.5)
    assert settings.weights["effort"] == 0.25
    settings = run.read_settings([*flags, "--samples", "20", "--seed=7", "--weights.effort", "1"])
    assert (settings.options["samples"], settings.options["horizon"]) == (20, 0.5)
    assert settings.session.seed == 7
    assert settings.weights["effort"] == 1.0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("task: [", "not YAML"),
        ("- task", "expected keys and values"),
        ("tsk: pendulum", "did you mean task"),
        ("options: 3", "options: expected names and values"),
        ("options: {samples: 1}", "samples: expected a whole number from 2"),
        ("options: {sampls: 4}", "did you mean samples"),
        ("weights: {efort: 1}", "did you mean effort"),
        ("weights: {effort: .nan}", "effort: expected a number"),
        ("seed: many", "seed: expected a whole number"),
        ("task: pendulm", "did you mean pendulum"),
        ("task: !!python/object/apply:os.system [true]", "not YAML"),
    ],
)
def test_a_bad_configuration_file_is_told(config, text, message):
    with pytest.raises(UsageError, match=message):
        run.read_settings(config(text))


def test_a_missing_configuration_file_is_told(tmp_path):
    with pytest.raises(UsageError, match="No such file"):
        run.read_settings(["--config", str(tmp_path / "none.yaml")])


def test_text_becomes_values():
    assert arguments.parse_text(Option("a", bool, False), "yes") is True
    assert arguments.parse_text(Option("a", bool, False), "OFF") is False
    assert arguments.parse_text(Option("a", int, 1), "1e3") == 1000
    assert arguments.parse_text(Option("a", str, "x", choices=("x", "y")), "y") == "y"
    for kind, text in ((bool, "2"), (int, "1.5"), (float, "inf"), (float, "")):
        with pytest.raises(OptionError):
            arguments.parse_text(Option("a", kind, None), text)


def test_declared_once(monkeypatch):
    """An option added to a dataclass is a flag, without any other line."""
    import dataclasses

    extra = dataclasses.make_dataclass(
        "Extra", [("boldness", float, option(0.5, min=0, max=1, help="How bold to be."))],
        bases=(run.RunOptions,), frozen=True,
    )  # fmt: skip
    monkeypatch.setattr(run, "RunOptions", extra)
    assert run.read_settings(["--boldness", "0.25"]).run.boldness == 0.25


def test_a_reader_that_has_enough_is_no_error():
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-m", "gpc_studio", "list"], stdout=writing, stderr=subprocess.PIPE
    )
    os.close(writing)
    assert done.returncode in (0, 1)  # rich ends a program in this case, with 1
    assert done.stderr == b""
