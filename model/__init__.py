"""PlaneDict: tri-planes, plane dictionary, renderer, training."""
