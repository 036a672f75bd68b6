"""What is drawn over the world: sampled rollouts, the executed path, pushes, and their colours."""
