"""What FOMM and its kin share: keypoints with Jacobians, dense motion, losses, pairs of frames, relative motion."""
