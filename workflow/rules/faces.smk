# Landmarks and cameras.
rule find_faces:
    input:
        cropped="data/{dataset}/crop/{shard}.parquet",
        tubes="data/{dataset}/crop/{shard}.tubes.json",
        weights=PLAN.checks(PLAN.data_weights("faces")),
        # Read by the names that the tubes give.
        media="data/{dataset}/fetch/{shard}",
    output:
        tar="data/{dataset}/faces/{shard}.tar",
        rows="data/{dataset}/faces/{shard}.parquet",
        stats="data/{dataset}/faces/{shard}.json",
    log:
        "logs/data/{dataset}/faces/{shard}.log",
    benchmark:
        "logs/data/{dataset}/faces/{shard}.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=2000,
    params:
        settings=PLAN.settings("faces"),
    message:
        "Finding faces of shard {wildcards.shard} of {wildcards.dataset}"
    shell:
        "python -m preprocessing.faces --crop {input.cropped} --output {output.rows}"
        " --settings {params.settings:q} --log {log}"
