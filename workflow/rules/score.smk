# Every metric of every pair, and whether motion transfers and identity stays.
rule score_pairs:
    input:
        shards=lambda wildcards: PLAN.samples_of([wildcards.dataset]),
        pairs="results/{run}/pairs/{dataset}/{protocol}.csv",
        real="results/{run}/pairs/{dataset}/real.csv",
        reenactments=rules.reenact_pairs.output,
        registered="results/{run}/weights.checked",
        readings=lambda wildcards: PLAN.readings(**wildcards),
    output:
        "results/{run}/scores/{dataset}/{method}/{protocol}.parquet",
    log:
        "logs/results/{run}/score/{dataset}/{method}-{protocol}.log",
    benchmark:
        "logs/results/{run}/score/{dataset}/{method}-{protocol}.tsv"
    conda:
        "../../environment.yml"
    resources:
        mem_mb=lambda wildcards: PLAN.memory(2500, wildcards.dataset),
    params:
        settings=PLAN.settings("evaluation", only=("backend", "backends")),
        # Other weights, other backends: scored again.
        registered=PLAN.scoring_weights,
        readings=lambda wildcards, input: plan.option("--readings", input.readings),
    message:
        "Scoring {wildcards.protocol} pairs of {wildcards.dataset} by {wildcards.method}"
    shell:
        "python -m evaluation.scores --shards $(dirname {input.shards[0]}) --pairs {input.pairs}"
        " --real {input.real} --reenactments $(dirname {input.reenactments[0]}) --output {output} --threads {threads}"
        " {params.readings} --settings {params.settings:q} --log {log}"


rule measure_health:
    input:
        shards=PLAN.samples_of(RUN.test_on),
        weights=f"results/{{run}}/checkpoints/{PLAN.main_method}/final.safetensors",
    output:
        "results/{run}/health.json",
    log:
        "logs/results/{run}/health.log",
    benchmark:
        "logs/results/{run}/health.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=PLAN.memory(2500, *RUN.test_on),
    params:
        shards=lambda wildcards, input: plan.folders(input.shards),
    message:
        "Measuring whether motion transfers and identity stays ({wildcards.run})"
    shell:
        "python -m evaluation.health --shards {params.shards} --checkpoint {input.weights} --output {output} --log {log}"
