"""`python -m gpc_studio` is `gpc-studio`."""

from gpc_studio.app.main import main

if __name__ == "__main__":
    main()
