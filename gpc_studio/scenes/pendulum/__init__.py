"""Swing up and balance a rod with a motor too weak to lift it."""
