"""Swing up and balance a pole on a cart, at a chosen place on the rail."""
