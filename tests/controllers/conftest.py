import pytest

from tests.controllers.arm import Arm


@pytest.fixture(scope="session")
def arm():
    return Arm()
