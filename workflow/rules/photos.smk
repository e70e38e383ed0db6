# Photos for the adversarial fine-tune, their backgrounds removed as those of training's frames are.
# The PNGs are no output: Snakemake would remove them before a job runs again, which goes on with what is there.
rule matte_photos:
    input:
        sheet="data/{dataset}/sheets/clips.parquet",
        weights=PLAN.checks(PLAN.data_weights("masks")),
    output:
        rows="data/{dataset}/photos/{shard}.parquet",
        stats="data/{dataset}/photos/{shard}.json",
    log:
        "logs/data/{dataset}/photos/{shard}.log",
    benchmark:
        "logs/data/{dataset}/photos/{shard}.tsv"
    wildcard_constraints:
        dataset=PLAN.one_of(PLAN.photos),
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=1500,
    params:
        dataset=lambda wildcards: PLAN.dataset(wildcards.dataset),
        masks=PLAN.settings("masks"),
    message:
        "Matting shard {wildcards.shard} of {wildcards.dataset}"
    shell:
        "python -m preprocessing.photos matte --sheet {input.sheet} --shard {wildcards.shard} --output {output.rows}"
        " --dataset {params.dataset:q} --settings {params.masks:q} --log {log}"


rule gather_photos:
    input:
        lambda wildcards: PLAN.photo_rows(wildcards.dataset),
    output:
        labels="data/{dataset}/photos/dataset.json",
        account="data/{dataset}/photos/account.json",
    log:
        "logs/data/{dataset}/photos.log",
    benchmark:
        "logs/data/{dataset}/photos.tsv"
    wildcard_constraints:
        dataset=PLAN.one_of(PLAN.photos),
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=1000,
    params:
        dataset=lambda wildcards: PLAN.dataset(wildcards.dataset),
    message:
        "Gathering the photos of {wildcards.dataset}"
    shell:
        "python -m preprocessing.photos gather --rows data/{wildcards.dataset}/photos --output {output.labels}"
        " --dataset {params.dataset:q} --log {log}"
