# PlaneDict: from videos of talking people to a trained face re-enactor, its tables, figures and report.
#
#   snakemake --cores all --configfile workflow/config/demo.yaml [--config clips=DIR]
#
# Grammar of the paths ({run}: the configuration's name, or that with -seed1, -seed2, … appended):
#   data/{dataset}/sheets/clips.{parquet,csv}            clip → person, split, shard
#   data/{dataset}/{fetch,crop,faces,masks,shards}/{shard}.{tar,parquet,json}
#   data/lists/{name}.json                               a registered list of clips is in the cache and right
#   data/weights/{name}.json                             a registered file of weights is in the cache and right
#   data/{dataset}/photos/{shard}.{parquet,json}   dataset.json   account.json   photos of a dataset of kind ffhq, matted
#   data/weights.checked                                 all registered files of the run's detectors are
#   results/{run}/weights.checked                        all registered files that the run insists on are
#   results/{run}/dataset/{dataset}.{json,html}          clips in, kept, dropped and why
#   results/{run}/dataset/{dataset}.agreement.{json,png} how far the embedded and the paper's detectors agree
#   results/{run}/checkpoints/{method}/final.safetensors   training/{method}.{parquet,png}
#   results/{run}/pairs/{dataset}/{protocol}.csv         real.csv   protocol.json
#   results/{run}/reenactments/{dataset}/{method}/{protocol}/{frames.tar,index.parquet}
#   results/{run}/readings/{dataset}/{method}/{protocol}/{detector}.parquet   detectors with an environment of their own
#   results/{run}/scores/{dataset}/{method}/{protocol}.parquet
#   results/{run}/tables/table{1..5}.{csv,md,tex}   comparisons.csv   figures/figure{1,3,4,5,6}.png   health.json   provenance.json   report.html
#   results/{run}/videos/{videos.json,*.mp4}   pages/{index.json,{dataset}/{method-{method},clip-{clip}}.html}
#   results/{run}/recipe.{csv,md,png}                    the recipe's ablation: every method against motion and identity
#   results/reference/…                                  the same tables and figures, seeds pooled, no checkpoints
# {protocol} is self, cross or multiview; {method} a slug of the configuration, or copy.
from snakemake.utils import min_version

min_version("9.27")


include: "workflow/rules/common.smk"
include: "workflow/rules/lists.smk"
include: "workflow/rules/fetch.smk"
include: "workflow/rules/crop.smk"
include: "workflow/rules/faces.smk"
include: "workflow/rules/masks.smk"
include: "workflow/rules/shards.smk"
include: "workflow/rules/photos.smk"
include: "workflow/rules/weights.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/reenact.smk"
include: "workflow/rules/readings.smk"
include: "workflow/rules/score.smk"
include: "workflow/rules/report.smk"
include: "workflow/rules/reference.smk"
include: "workflow/rules/recipe.smk"


# Every stage's outputs, not only the last one's: an intermediate that was deleted comes back.
rule all:
    default_target: True
    input:
        PLAN.stage_everywhere("sheets"),
        PLAN.stage_everywhere("fetch"),
        PLAN.stage_everywhere("crop"),
        PLAN.stage_everywhere("faces"),
        PLAN.stage_everywhere("masks"),
        PLAN.stage_everywhere("shards"),
        PLAN.training(RUN.run),
        PLAN.pairs(RUN.run),
        PLAN.reenactments(RUN.run),
        PLAN.scores(RUN.run),
        PLAN.tables(RUN.run),
        PLAN.figures(RUN.run),
        PLAN.report(RUN.run),


# Partial targets, in the order data flows.
rule sheets:
    input:
        PLAN.stage_everywhere("sheets"),


rule downloads:
    input:
        PLAN.stage_everywhere("fetch"),


rule crops:
    input:
        PLAN.stage_everywhere("crop"),


rule faces:
    input:
        PLAN.stage_everywhere("faces"),


rule masks:
    input:
        PLAN.stage_everywhere("masks"),


rule shards:
    input:
        PLAN.stage_everywhere("shards"),
        PLAN.accounts(RUN.run),


# Contact sheets of the shards: crops, landmarks and cameras, masks.
rule samples:
    input:
        PLAN.samples(RUN.run),


rule photos:
    input:
        PLAN.all_photos(),


# Needs the paper's detectors' weights, whichever detectors the run uses.
rule agreement:
    input:
        PLAN.agreements(RUN.run),


rule weights:
    input:
        PLAN.checks(PLAN.wanted_weights),


rule training:
    input:
        PLAN.training(RUN.run),


rule pairs:
    input:
        PLAN.pairs(RUN.run),


rule reenactments:
    input:
        PLAN.reenactments(RUN.run),


rule readings:
    input:
        PLAN.all_readings(RUN.run),


rule scores:
    input:
        PLAN.scores(RUN.run),


rule tables:
    input:
        PLAN.tables(RUN.run),


rule figures:
    input:
        PLAN.figures(RUN.run),


rule reference:
    input:
        PLAN.reference(),


rule recipe:
    input:
        [f"results/{RUN.run}/recipe.{suffix}" for suffix in ("csv", "md", "png")],
