"""Rollout engines: what executes candidate controls on the model."""
