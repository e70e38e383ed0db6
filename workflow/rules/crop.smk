# Face boxes, tubes by FOMM's rule, and the window that follows the face.
rule crop_clips:
    input:
        sheet="data/{dataset}/sheets/clips.parquet",
        fetched="data/{dataset}/fetch/{shard}.parquet",
        media="data/{dataset}/fetch/{shard}",
        weights=PLAN.checks(PLAN.data_weights("crop")),
        # What any stage's detectors lack is named before the first of them runs: its check has the highest priority.
        registered=ancient("data/weights.checked"),
        # What the last run left where the decoder's time ran out, in this stage or a later one.
        again=lambda wildcards: PLAN.again("crop", wildcards.dataset, wildcards.shard),
    output:
        tubes="data/{dataset}/crop/{shard}.tubes.json",
        rows="data/{dataset}/crop/{shard}.parquet",
        stats="data/{dataset}/crop/{shard}.json",
    log:
        "logs/data/{dataset}/crop/{shard}.log",
    benchmark:
        "logs/data/{dataset}/crop/{shard}.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=2000,
    params:
        settings=lambda wildcards: PLAN.crop(wildcards.dataset),
    message:
        "Cropping shard {wildcards.shard} of {wildcards.dataset}"
    shell:
        "python -m preprocessing.crop --sheet {input.sheet} --shard {wildcards.shard} --fetch {input.fetched}"
        " --output {output.rows} --settings {params.settings:q} --log {log}"
