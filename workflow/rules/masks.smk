# Which pixel is background, face, hair, torso, eyes or mouth.
rule mask_regions:
    input:
        cropped="data/{dataset}/crop/{shard}.parquet",
        tubes="data/{dataset}/crop/{shard}.tubes.json",
        # Read by the names that the tubes give.
        media="data/{dataset}/fetch/{shard}",
        faces="data/{dataset}/faces/{shard}.parquet",
        faces_tar="data/{dataset}/faces/{shard}.tar",
        weights=PLAN.checks(PLAN.data_weights("masks")),
    output:
        tar="data/{dataset}/masks/{shard}.tar",
        rows="data/{dataset}/masks/{shard}.parquet",
        stats="data/{dataset}/masks/{shard}.json",
    log:
        "logs/data/{dataset}/masks/{shard}.log",
    benchmark:
        "logs/data/{dataset}/masks/{shard}.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=2000,
    params:
        settings=PLAN.settings("masks"),
    message:
        "Masking shard {wildcards.shard} of {wildcards.dataset}"
    shell:
        "python -m preprocessing.masks --crop {input.cropped} --faces {input.faces} --output {output.rows}"
        " --settings {params.settings:q} --log {log}"
