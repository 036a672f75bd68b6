"""Published tables and figures, measured again: `gpc-studio reproduce`."""
