"""One file for each study: every `Study` in a module here can be run by its name."""
