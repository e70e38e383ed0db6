"""Scripts for other interpreters: detectors that cannot live in the project's environment."""
