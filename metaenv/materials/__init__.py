"""Solid-state synthesis: a hidden material, a furnace, and ten experiments to find its recipe."""
