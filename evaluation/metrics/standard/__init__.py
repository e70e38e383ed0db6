"""Readers of the standard backends: each reads one thing off pictures as the public project it is named after does."""
