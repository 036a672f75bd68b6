"""The program: command line, session, front ends, evaluation, benchmark.

main.py, environment.py   the entry point, and what is set before NumPy and JAX are imported
mujoco_log.py             MuJoCo's warnings
cli.py                    the commands: one line each
arguments.py, choice.py   flags made from options; tasks and controllers by name
defaults.py               option values that a user's own task brings along
run.py, running.py        `run`: reading its flags and configuration; session, page and signals
listing.py, bench.py      `list` and `bench`
evaluate/                 `evaluate`
session/                  plant and planner threads, commands, snapshots
web/                      the page in the browser
"""
