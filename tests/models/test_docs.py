"""What `docs/checkpoints.md` says is so."""

import json
import re
from pathlib import Path

from gpc_studio.models import container
from gpc_studio.models.checkpoint import save
from tests.models.test_checkpoint import checkpoint

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "checkpoints.md").read_text()


def test_the_example_runs(tmp_path, capsys):
    path = tmp_path / "some.safetensors"
    save(path, checkpoint())
    (block,) = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
    exec(compile(block, "checkpoints.md", "exec"), {"path": path})
    shown = capsys.readouterr().out
    assert "'horizon': 1.0" in shown
    assert "success_rate" in shown


def test_the_tables_have_all_fields_and_the_limits_are_right(tmp_path):
    path = tmp_path / "some.safetensors"
    save(path, checkpoint())
    content = json.loads(container.read(path).text)
    fields = set(re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE))
    assert fields == set(content)
    for name in (*content["architecture"], *content["plan"], *content["provenance"]):
        assert f"`{name}`" in PAGE
    assert f"format version {container.VERSION}" in PAGE
    assert f"larger than {container.MOST_BYTES // 2**20} MB" in PAGE
