# Tables, figures, provenance and the page; the reference pools the seeds.
rule make_tables:
    input:
        scores=lambda wildcards: PLAN.scores(wildcards.run),
        shards=PLAN.stage_everywhere("shards"),
    output:
        expand("results/{{run}}/tables/{name}", name=plan.TABLES),
    log:
        "logs/{run}/tables.log",
    benchmark:
        "logs/{run}/tables.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=1000,
    params:
        methods=PLAN.names(),
        settings=PLAN.settings("evaluation", only=("bootstrap_samples",)),
        label=RUN.label,
        shards=PLAN.shard_folders(RUN.datasets),
        train_on=RUN.train_on,
    message:
        "Writing Tables 1 to 5 ({wildcards.run})"
    shell:
        "python -m evaluation.tables --scores results/{wildcards.run}/scores --methods {params.methods:q}"
        " --label {params.label:q} --shards {params.shards} --train-on {params.train_on} --settings {params.settings:q}"
        " --output results/{wildcards.run}/tables --log {log}"
