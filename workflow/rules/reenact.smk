# Which images are compared, and the re-enacted images themselves.
rule choose_pairs:
    input:
        shards=lambda wildcards: PLAN.stage("shards", wildcards.dataset, "json"),
        frozen=lambda wildcards: local(PLAN.frozen(wildcards.dataset)),
    output:
        "results/{run}/pairs/{dataset}/self.csv",
        "results/{run}/pairs/{dataset}/cross.csv",
        "results/{run}/pairs/{dataset}/multiview.csv",
        "results/{run}/pairs/{dataset}/real.csv",
        rules="results/{run}/pairs/{dataset}/protocol.json",
    log:
        "logs/results/{run}/pairs/{dataset}.log",
    benchmark:
        "logs/results/{run}/pairs/{dataset}.tsv"
    conda:
        "../../environment.yml"
    resources:
        mem_mb=lambda wildcards: PLAN.memory(1000, wildcards.dataset),
    params:
        settings=PLAN.settings("evaluation", only=("protocol",)),
    message:
        "Choosing the pairs of {wildcards.dataset}"
    shell:
        "python -m evaluation.protocol --shards $(dirname {input.shards[0]}) --settings {params.settings:q}"
        " --output $(dirname {output.rules}) --log {log}"


rule reenact_pairs:
    input:
        shards=lambda wildcards: PLAN.samples_of([wildcards.dataset]),
        pairs="results/{run}/pairs/{dataset}/{protocol}.csv",
        weights=lambda wildcards: PLAN.weights(wildcards.run, wildcards.method),
        registered=ancient("results/{run}/weights.checked"),
    output:
        frames="results/{run}/reenactments/{dataset}/{method}/{protocol}/frames.tar",
        index="results/{run}/reenactments/{dataset}/{method}/{protocol}/index.parquet",
    log:
        "logs/results/{run}/reenact/{dataset}/{method}-{protocol}.log",
    benchmark:
        "logs/results/{run}/reenact/{dataset}/{method}-{protocol}.tsv"
    conda:
        "../../environment.yml"
    resources:
        mem_mb=lambda wildcards: PLAN.memory(2000, wildcards.dataset),
    params:
        method=lambda wildcards, input: PLAN.method_arguments(
            wildcards.method, input.weights
        ),
    message:
        "Re-enacting {wildcards.protocol} pairs of {wildcards.dataset} by {wildcards.method}"
    shell:
        "python -m evaluation.reenact --shards $(dirname {input.shards[0]}) --pairs {input.pairs}"
        " --method {params.method} --output $(dirname {output.index}) --log {log}"
