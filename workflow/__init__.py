"""The run as a whole: typed configuration and the Snakemake rules around it."""
