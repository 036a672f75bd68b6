"""Push a K-shaped block into a goal pose with a round pusher."""
