"""What finds faces, landmarks, cameras and regions: the embedded detectors and the paper's, behind one interface."""
