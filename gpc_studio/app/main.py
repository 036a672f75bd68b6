"""The `gpc-studio` program."""

from __future__ import annotations

import os
import sys


def main() -> None:
    """Entry point: prepares the environment before anything heavy is imported."""
    from gpc_studio.app import environment

    environment.prepare()
    environment.repair_compilation_cache()

    from gpc_studio.app import cli

    try:
        code = cli.run(sys.argv[1:])
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read the output, `head` for instance, has enough of it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    sys.exit(code)


if __name__ == "__main__":
    main()
