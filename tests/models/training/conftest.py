import pytest

from tests.app.conftest import compile_once

__all__ = ["compile_once"]


@pytest.fixture(scope="module", autouse=True)
def compiled_once(compile_once):
    """These tests run few programs many times."""
