"""`gpc-studio reproduce`: published tables, measured again."""

import json

import pytest

from gpc_studio.app.errors import UsageError
from gpc_studio.app.evaluate.command import controller_options
from gpc_studio.app.planners import controller_names
from gpc_studio.app.reproduce.command import command
from gpc_studio.app.reproduce.rows import Published, Row, results_path
from gpc_studio.app.reproduce.study import Context, choose_study, studies
from gpc_studio.app.reproduce.table import Section, Table
from gpc_studio.scenes import load_task, task_names

SMALL = Table(
    name="small",
    title="A small table",
    source="Nobody, 2026",
    sections=(
        Section(
            "Pendulum",
            (
                Row("ps", "PS", "pendulum", "predictive_sampling", {"samples": "4"}),
                Row("mppi", "MPPI", "pendulum", "mppi", paper=Published(0.5, (0.4, 0.6), 10, 2)),
            ),
        ),
    ),
    episodes=2,
)


@pytest.mark.parametrize("study", studies().values(), ids=list(studies()))
def test_rows_can_be_evaluated(study, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    rows = study.rows(Context(tmp_path))
    assert len({row.name for row in rows}) == len(rows)
    for row in rows:
        assert row.task in task_names() and row.controller in controller_names()
        task = load_task(row.task)
        controller_options(task, row.controller, row.options)
        assert set(row.weights) <= set(task.weights)


def test_an_unknown_study_is_refused_by_name():
    with pytest.raises(UsageError, match="brudermueller-table-1"):
        choose_study("brudermueller-table-2")


def test_all_are_listed(capsys):
    assert command([]) == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in studies())


def test_a_part_that_no_row_has_is_refused():
    with pytest.raises(UsageError, match="--only: expected a part of one of"):
        command(["brudermueller-table-1", "--only", "nothing"])


@pytest.mark.parametrize(
    ("only", "names"),
    [("cart_pole-spc", ["cart_pole-spc"]), ("pole-spc", ["cart_pole-spc", "double_cart_pole-spc"])],
)
def test_a_row_by_its_whole_name_comes_before_those_that_contain_it(
    only, names, tmp_path, monkeypatch
):
    asked = []
    study = choose_study("kurtz-cost-per-step")
    monkeypatch.setattr(type(study), "run", lambda self, context, rows: asked.extend(rows) or 0)
    assert command([study.name, "--only", only, "--out", str(tmp_path)]) == 0
    assert [row.name for row in asked] == names


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr("gpc_studio.app.reproduce.command.choose_study", lambda name: SMALL)


def test_measures_goes_on_and_prints_both(small, tmp_path, capsys):
    arguments = ["small", "--out", str(tmp_path), "--batch", "2"]
    assert command([*arguments, "--episodes", "1", "--only", "ps"]) == 0
    file = results_path(tmp_path, SMALL.sections[0].rows[0])
    first = json.loads(file.read_text())["rows"][0]
    assert first["options"]["samples"] == 4 and len(first["episodes"]) == 1
    assert command([*arguments, "--only", "ps"]) == 0
    again = json.loads(file.read_text())["rows"][0]
    assert again["episodes"][0] == first["episodes"][0] and len(again["episodes"]) == 2

    capsys.readouterr()
    assert command([*arguments, "--show"]) == 0
    shown = capsys.readouterr().out
    assert "PS" in shown and f"{again['success_rate']:.3f}" in shown
    assert "0.500 (0.400-0.600)" in shown and "10 ± 2" in shown  # the paper's
    markdown = (tmp_path / "table.md").read_text()
    assert "| MPPI | - | - | 0.500 (0.400-0.600) | - | 10 ± 2 | - | - |" in markdown


def test_a_file_that_is_none_is_told(small, tmp_path):
    (tmp_path / "ps.json").write_text("{}")
    with pytest.raises(UsageError, match=r"ps\.json: not a results file"):
        command(["small", "--show", "--out", str(tmp_path)])


def test_a_policy_that_no_row_has_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    with pytest.raises(UsageError, match=r"double_cart_pole \(did you mean"):
        command(["kurtz-policies", "--checkpoint", "pendulums=x"])
    with pytest.raises(UsageError, match="checkpoint x: unknown"):
        command(["kurtz-policies", "--checkpoint", "pendulum=x"])


@pytest.mark.parametrize(
    ("study", "made"),
    [
        ("kurtz-cost-per-step", "train pendulum --method gpc --name pendulum_paper --set horizon"),
        ("kurtz-figure-4", "train double_cart_pole"),
        ("kurtz-policies", "train pendulum"),
        ("brudermueller-figure-4", "train push_t --method gpc"),
    ],
)
def test_a_missing_policy_is_told_with_the_command_that_makes_it(
    study, made, tmp_path, monkeypatch
):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setattr("gpc_studio.models.library.shipped_dir", lambda: tmp_path)
    with pytest.raises(UsageError, match=f"gpc-studio {made}"):
        command([study, "--out", str(tmp_path / "out")])
    assert not (tmp_path / "out").exists()
