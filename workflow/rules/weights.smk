# Pre-trained weights of the registry: fetched into the user's cache where they are missing, and checked.
rule fetch_weights:
    input:
        lambda wildcards: local(PLAN.cached_weights(wildcards.name)),
    output:
        "data/weights/{name}.json",
    log:
        "logs/data/weights/{name}.log",
    benchmark:
        "logs/data/weights/{name}.tsv"
    wildcard_constraints:
        name=PLAN.one_of([*PLAN.wanted_weights, *PLAN.agreement_weights]),
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


# The detectors' files, named before any shard is fetched. As below, one file stands for all and is `ancient` there:
# another detector of masks fetches and crops nothing again. Each stage names its own detectors' files, too.
rule check_data_weights:
    input:
        PLAN.checks(PLAN.data_weights()),
    output:
        "data/weights.checked",
    log:
        "logs/data/weights.log",
    benchmark:
        "logs/data/weights.tsv"
    priority: 1000000
    localrule: True
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=100,
    message:
        "The weights of the detectors are there"
    shell:
        "touch {output}"


# One file stands for all that a run insists on. Trainings and re-enactments come after it, so that what is missing is
# named before anything heavy, but do not depend on what it says: hence `ancient` there. That holds only for a file that
# is there already; were the single files named, another metric's backend would train every method again.
rule check_weights:
    input:
        PLAN.checks(PLAN.required_weights),
    output:
        "results/{run}/weights.checked",
    log:
        "logs/results/{run}/weights.log",
    benchmark:
        "logs/results/{run}/weights.tsv"
    priority: 1000000
    localrule: True
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=100,
    message:
        "The weights that {wildcards.run} insists on are there"
    shell:
        "touch {output}"
