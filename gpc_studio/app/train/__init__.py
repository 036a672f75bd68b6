"""`gpc-studio train` and `gpc-studio collect`.

command.py      `train`: what is asked for, and either method from start to end
collect.py      `collect`: episodes of a controller that may take its time, kept as a dataset
gathering.py    runs those episodes, in threads
show.py         what a dataset holds, on the terminal
run_folder.py   beside the checkpoint: settings, state to go on from, metrics
telling.py      progress: bars for people, JSON lines for programs, TensorBoard
curves.py       the picture of the training curves
stopping.py     Ctrl+C, termination, and the end of whoever started this
worker.py       training in a process of its own, for the browser
"""
