"""Telescope target selection: nights under a hidden sky and a hidden science programme."""
