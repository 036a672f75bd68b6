"""A room imports only from the floors below it."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "gpc_studio"
BELOW = {"options", "files"}
FLOORS = {**dict.fromkeys(BELOW, 0), "scenes": 1, "controllers": 2, "models": 3, "app": 4}
MODULES = [path for room in FLOORS for path in PACKAGE.glob(f"{room}/**/*.py")]


def imported(path: Path) -> set[str]:
    """Rooms that a module imports from, inside functions too."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        names = (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
        found |= {name.split(".")[1] for name in names if name.startswith("gpc_studio.")}
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_come_from_below(path):
    floor = FLOORS[path.relative_to(PACKAGE).parts[0]]
    above = {room for room in imported(path) if FLOORS[room] > floor}
    assert not above


def test_all_rooms_are_looked_at():
    rooms = {path.relative_to(PACKAGE).parts[0] for path in MODULES}
    assert rooms == set(FLOORS) - BELOW
