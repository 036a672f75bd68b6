"""What is learned: networks, generative samplers, checkpoints, training loops."""
