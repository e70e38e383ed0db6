# Pre-trained weights of the registry: fetched into the user's cache where they are missing, and checked. What needs them
# comes after these jobs, but is not made again when a file is merely checked again: hence `ancient` in the other rules.
rule fetch_weights:
    input:
        lambda wildcards: PLAN.cached_weights(wildcards.name),
    output:
        "data/weights/{name}.json",
    log:
        "logs/data/weights/{name}.log",
    benchmark:
        "logs/data/weights/{name}.tsv"
    wildcard_constraints:
        name=PLAN.one_of(PLAN.wanted_weights),
    # Before anything heavy, and where there is a network.
    priority: 1000000
    localrule: True
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=500,
    message:
        "Fetching or checking the weights {wildcards.name}"
    shell:
        "python -m preprocessing.weights {wildcards.name:q} --fetch --output {output:q} --log {log:q}"
