# Configuration (checked before any rule), paths, and the little that rules share.
import shlex
import sys
from pathlib import Path

from snakemake.utils import update_config

from preprocessing.cli import InputError, read_mapping
from workflow import plan, settings

try:
    # No `configfile:` directive, which would leak into --configfile: with none given, the demo alone.
    if not workflow.config_settings.configfiles:
        given, config = config, read_mapping(
            f"{workflow.basedir}/workflow/config/demo.yaml"
        )
        update_config(config, given)
    RUN = settings.load(config)
except InputError as problem:
    sys.exit(str(problem))

PLAN = plan.Plan(RUN)

# The interpreter that runs Snakemake runs the stages, from the project's root, one thread per process.
shell.prefix(
    "export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1; "
    f'python() ( exec {shlex.quote(sys.executable)} "$@"; ); '
)


wildcard_constraints:
    dataset="|".join(RUN.datasets),
    shard=r"\d{5}",
    run=rf"{RUN.run}(-seed[1-9]\d*)?",
    method="|".join([settings.COPY, *RUN.driven]),
    protocol="self|cross|multiview",
