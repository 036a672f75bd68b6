import pytest
import viser


@pytest.fixture
def server():
    """A server of its own for the test's scene."""
    server = viser.ViserServer(host="127.0.0.1", port=0, verbose=False)
    yield server
    server.stop()


@pytest.fixture
def events():
    """What a test's callbacks noted, in order."""
    return []
