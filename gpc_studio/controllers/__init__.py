"""How plans are made: splines, proposals, update rules, risk, rollout engines.

- `options`: options that every controller has
- `plan`: what a planning step produces
- `planner`: the planning step; `costs`, `risk`, `splines`, `domains` and `layout` are its parts
- `registry`: the named controllers
- `rules/`, `proposals/`, `engines/`: the parts they are made of
"""
