"""Benchmarks that anyone can run: `metaenv bench`."""
