"""A training that takes seconds."""

GPC = [
    "train", "pendulum", "--width", "8", "--iterations", "2", "--episodes", "4", "--plans", "4",
    "--minibatch", "16", "--epochs", "2", "--gaussian-samples", "3", "--policy-samples", "1",
    "--flow-steps", "2", "--set", "horizon=0.2",
]  # fmt: skip
