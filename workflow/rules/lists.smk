# The datasets' own lists: fetched into the user's cache where they are missing, and checked.
rule fetch_list:
    input:
        lambda wildcards: local(PLAN.cached_list(wildcards.name)),
    output:
        "data/lists/{name}.json",
    log:
        "logs/data/lists/{name}.log",
    benchmark:
        "logs/data/lists/{name}.tsv"
    wildcard_constraints:
        name=PLAN.one_of(PLAN.needed_lists),
    # Where there is a network.
    localrule: True
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=500,
    message:
        "Fetching or checking the list {wildcards.name}"
    shell:
        "python -m preprocessing.lists {wildcards.name:q} --fetch --output {output:q} --log {log:q}"
