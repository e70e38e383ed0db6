"""Methods that the project does not know: what a folder of ``model/baselines`` needs to hold, and no more."""
