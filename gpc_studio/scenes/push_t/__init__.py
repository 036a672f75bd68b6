"""Push a T-shaped block into a goal pose with a round pusher."""
