"""Training: pairs, objectives, losses, the loop."""
