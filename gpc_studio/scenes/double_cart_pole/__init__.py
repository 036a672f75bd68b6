"""Swing up and balance two poles in series on a cart."""
