"""The `gpc-studio` program."""

from __future__ import annotations

import sys


def main() -> None:
    """Entry point: prepares the environment before anything heavy is imported."""
    from gpc_studio.app import environment

    environment.prepare()

    from gpc_studio.app import cli

    sys.exit(cli.run(sys.argv[1:]))


if __name__ == "__main__":
    main()
