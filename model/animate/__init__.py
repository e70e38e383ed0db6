"""A photo driven by a video: frames, views, files."""
