"""What the README says is so."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from gpc_studio.app.cli import COMMANDS
from gpc_studio.app.planners import controller_names
from gpc_studio.scenes import task_names

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()


def test_the_library_example_runs():
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    lines = [line for line in code.splitlines() if line.strip()]
    assert len(lines) <= 5
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=200, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.rstrip().endswith("True")  # the pole stands


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\(((?!http)[^)#]+)\)", README))))
def test_links_lead_somewhere(link):
    assert (ROOT / link).exists()


def test_the_tables_are_complete():
    listed = set(re.findall(r"^\| `(\w+)` \|", README, re.MULTILINE))
    assert listed == {*task_names(), *controller_names()}


def test_the_commands_exist():
    words = re.findall(r"^\./gpc-studio (\w+)", README, re.MULTILINE)
    assert words and set(words) <= {command.name for command in COMMANDS}
