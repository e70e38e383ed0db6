# Frames, masks, landmarks and cameras in WebDataset shards, and the account of what became of every clip.
rule write_shards:
    input:
        cropped="data/{dataset}/crop/{shard}.parquet",
        tubes="data/{dataset}/crop/{shard}.tubes.json",
        # Read by the names that the tubes give.
        media="data/{dataset}/fetch/{shard}",
        faces="data/{dataset}/faces/{shard}.parquet",
        faces_tar="data/{dataset}/faces/{shard}.tar",
        masks="data/{dataset}/masks/{shard}.parquet",
        masks_tar="data/{dataset}/masks/{shard}.tar",
    output:
        tar="data/{dataset}/shards/{shard}.tar",
        rows="data/{dataset}/shards/{shard}.parquet",
        index="data/{dataset}/shards/{shard}.json",
    log:
        "logs/data/{dataset}/shards/{shard}.log",
    benchmark:
        "logs/data/{dataset}/shards/{shard}.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=2000,
    params:
        settings=PLAN.settings("shard"),
    message:
        "Writing shard {wildcards.shard} of {wildcards.dataset}"
    shell:
        "python -m preprocessing.shards --crop {input.cropped} --faces {input.faces} --masks {input.masks} --output {output.rows}"
        " --settings {params.settings:q} --log {log}"


rule account_for_clips:
    input:
        shards=lambda wildcards: PLAN.stage(
            "shards", wildcards.dataset, "parquet", "json"
        ),
        sheet="data/{dataset}/sheets/clips.parquet",
    output:
        json="results/{run}/dataset/{dataset}.json",
        html=report(
            "results/{run}/dataset/{dataset}.html",
            caption="../report/dataset.rst",
            category="Data",
        ),
    log:
        "logs/results/{run}/dataset/{dataset}.log",
    benchmark:
        "logs/results/{run}/dataset/{dataset}.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=lambda wildcards: PLAN.memory(500, wildcards.dataset),
    message:
        "Accounting for the clips of {wildcards.dataset}"
    shell:
        "python -m preprocessing.account --dataset {wildcards.dataset} --sheet {input.sheet}"
        " --shards $(dirname {input.shards[0]}) --output {output.json} --log {log}"


rule draw_samples:
    input:
        shards=lambda wildcards: PLAN.samples_of([wildcards.dataset], plan.FEW),
        crop=lambda wildcards: PLAN.stage(
            "crop", wildcards.dataset, "tubes.json", first=plan.FEW
        ),
        # Read by the names that the tubes give.
        media=lambda wildcards: PLAN.media(wildcards.dataset, plan.FEW),
    output:
        report(
            "results/{run}/dataset/{dataset}.png",
            caption="../report/samples.rst",
            category="Data",
        ),
    log:
        "logs/results/{run}/samples/{dataset}.log",
    benchmark:
        "logs/results/{run}/samples/{dataset}.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=1500,
    params:
        first=plan.FEW,
    message:
        "Drawing samples of {wildcards.dataset}"
    shell:
        "python -m preprocessing.samples --shards $(dirname {input.shards[0]}) --crop $(dirname {input.crop[0]})"
        " --first {params.first} --output {output} --log {log}"


rule compare_detectors:
    input:
        PLAN.checks(PLAN.agreement_weights),
        crop=lambda wildcards: PLAN.stage(
            "crop", wildcards.dataset, "parquet", first=plan.FEW
        ),
        tubes=lambda wildcards: PLAN.stage(
            "crop", wildcards.dataset, "tubes.json", first=plan.FEW
        ),
        # Read by the names that the tubes give.
        media=lambda wildcards: PLAN.media(wildcards.dataset, plan.FEW),
    output:
        json="results/{run}/dataset/{dataset}.agreement.json",
        png="results/{run}/dataset/{dataset}.agreement.png",
    log:
        "logs/results/{run}/agreement/{dataset}.log",
    benchmark:
        "logs/results/{run}/agreement/{dataset}.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=4000,
    message:
        "Comparing the embedded and the paper's detectors on {wildcards.dataset}"
    shell:
        "python -m preprocessing.agreement --crop {input.crop} --output {output.json} --log {log}"
