"""Ratios against plain references."""
