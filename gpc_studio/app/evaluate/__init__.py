"""`gpc-studio evaluate`: success over many episodes, in lock-step.

command.py      the command: what is asked for, and what of it is missing
starts.py       seeds and start states of episodes
course.py       episodes of a fixed length, and what is measured at their steps
episodes.py     planning and advancing in lock-step, the success test
runner.py       in one process or several
results.py      the results file
statistics.py   Wilson interval, mean and standard deviation
report.py       progress bars and the table
"""
