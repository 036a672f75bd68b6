"""`gpc-studio reproduce`: published tables, measured again."""

import json

import pytest

from gpc_studio.app.errors import UsageError
from gpc_studio.app.evaluate.command import controller_options
from gpc_studio.app.planners import controller_names
from gpc_studio.app.reproduce.command import command, finish, results_path
from gpc_studio.app.reproduce.table import Published, Row, Section, Table, choose_table, tables
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


@pytest.mark.parametrize("table", tables().values(), ids=list(tables()))
def test_rows_can_be_evaluated(table):
    rows = [row for section in table.sections for row in section.rows]
    assert len({row.name for row in rows}) == len(rows)
    for row in rows:
        assert row.task in task_names() and row.controller in controller_names()
        controller_options(load_task(row.task), row.controller, row.options)


def test_an_unknown_table_is_refused_by_name():
    with pytest.raises(UsageError, match="brudermueller-table-1"):
        choose_table("brudermueller-table-2")


def test_a_part_that_no_row_has_is_refused():
    with pytest.raises(UsageError, match="--only: expected a part of one of"):
        command(["brudermueller-table-1", "--only", "nothing"])


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr("gpc_studio.app.reproduce.command.choose_table", lambda name: SMALL)


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
        finish(None, SMALL, tmp_path)
