"""One file for each table: every `Table` in a module here can be reproduced by its name."""
