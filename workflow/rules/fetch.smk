# Which clips there are, and their media on this machine.
rule write_sheet:
    input:
        lambda wildcards: local(PLAN.source_files(wildcards.dataset)),
        # Needed, and pinned: one that is looked at again writes no sheet again, on which everything depends.
        lambda wildcards: ancient(PLAN.list_checks(wildcards.dataset)),
    output:
        parquet="data/{dataset}/sheets/clips.parquet",
        csv="data/{dataset}/sheets/clips.csv",
    log:
        "logs/data/{dataset}/sheets.log",
    benchmark:
        "logs/data/{dataset}/sheets.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=lambda wildcards: PLAN.memory(500, wildcards.dataset),
    params:
        settings=lambda wildcards: PLAN.dataset(wildcards.dataset),
    message:
        "Listing the clips of {wildcards.dataset}"
    shell:
        "python -m preprocessing.sheets --dataset {wildcards.dataset} --output {output.parquet}"
        " --settings {params.settings:q} --log {log}"


rule fetch_clips:
    input:
        sheet="data/{dataset}/sheets/clips.parquet",
        # What the last run left where downloads may still come; without it nothing is tried again.
        again=lambda wildcards: PLAN.again("fetch", wildcards.dataset, wildcards.shard),
    output:
        rows="data/{dataset}/fetch/{shard}.parquet",
        stats="data/{dataset}/fetch/{shard}.json",
        media=directory("data/{dataset}/fetch/{shard}"),
    log:
        "logs/data/{dataset}/fetch/{shard}.log",
    benchmark:
        "logs/data/{dataset}/fetch/{shard}.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=1000,
    params:
        # Changes of these two fetch anew. One of the download's pace or patience does not: Snakemake compares no
        # parameter that is a function of the input.
        dataset=lambda wildcards: PLAN.dataset(wildcards.dataset),
        wanted=lambda wildcards: PLAN.wanted(wildcards.dataset),
        settings=lambda wildcards, input: PLAN.fetching(wildcards.dataset),
    message:
        "Fetching shard {wildcards.shard} of {wildcards.dataset}"
    shell:
        "python -m preprocessing.fetch --sheet {input.sheet} --shard {wildcards.shard} --output {output.rows}"
        " --settings {params.settings:q} --log {log}"
