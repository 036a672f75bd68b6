"""Proposals: sources of candidate knots, one file each."""
