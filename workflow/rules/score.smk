# Every metric of every pair, and whether motion transfers and identity stays.
rule score_pairs:
    input:
        shards=lambda wildcards: PLAN.stage("shards", wildcards.dataset),
        pairs="results/{run}/pairs/{dataset}/{protocol}.csv",
        reenactments=rules.reenact_pairs.output,
    output:
        "results/{run}/scores/{dataset}/{method}/{protocol}.parquet",
    log:
        "logs/{run}/score/{dataset}/{method}-{protocol}.log",
    benchmark:
        "logs/{run}/score/{dataset}/{method}-{protocol}.tsv"
    message:
        "Scoring {wildcards.protocol} pairs of {wildcards.dataset} by {wildcards.method}"
    resources:
        mem_mb=2500,
    params:
        settings=PLAN.settings("evaluation"),
    conda:
        "../../environment.yml"
    shell:
        "{PYTHON} -m evaluation.scores --shards data/{wildcards.dataset}/shards --pairs {input.pairs}"
        " --reenactments $(dirname {input.reenactments[0]}) --output {output} --settings {params.settings:q} --log {log}"
