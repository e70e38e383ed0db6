# The committed results: the run and its other seeds pooled; of input frames only those that may be shown.
rule pool_tables:
    input:
        scores=[path for run in RUN.reference_runs() for path in PLAN.scores(run)],
        shards=PLAN.indices(),
    output:
        tables=PLAN.tables("reference"),
    log:
        "logs/results/reference/tables.log",
    benchmark:
        "logs/results/reference/tables.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=1000,
    params:
        scores=lambda wildcards, input: plan.folders(input.scores, above=2),
        methods=PLAN.names(),
        settings=PLAN.settings("evaluation", only=("bootstrap_samples",)),
        label=RUN.label,
        shards=lambda wildcards, input: plan.folders(input.shards),
        train_on=RUN.train_on,
    message:
        "Writing Tables 1 to 5, seeds pooled"
    shell:
        "python -m evaluation.tables --scores {params.scores} --methods {params.methods:q} --label {params.label:q}"
        " --shards {params.shards} --train-on {params.train_on} --settings {params.settings:q}"
        " --output $(dirname {output.tables[0]}) --log {log}"


rule pool_figures:
    input:
        shards=PLAN.samples_of(RUN.test_on),
        pairs=PLAN.pairs(RUN.run),
        reenactments=PLAN.reenactments(RUN.run),
    output:
        figures=PLAN.figures("reference"),
    log:
        "logs/results/reference/figures.log",
    benchmark:
        "logs/results/reference/figures.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=PLAN.memory(2000, *RUN.test_on),
    params:
        methods=PLAN.names(),
        settings=PLAN.settings("evaluation", only=("figures",)),
        label=RUN.label,
        shards=lambda wildcards, input: plan.folders(input.shards),
        pairs=lambda wildcards, input: plan.folders(input.pairs),
        reenactments=lambda wildcards, input: plan.folders(input.reenactments, above=2),
        shown=PLAN.shown_clips(),
        credit=RUN.reference.credit,
    message:
        "Drawing Figures 1 and 3 to 6 of clips that may be shown"
    shell:
        "python -m evaluation.figures --shards {params.shards} --pairs {params.pairs}"
        " --reenactments {params.reenactments} --methods {params.methods:q} --label {params.label:q} {params.shown}"
        " --credit {params.credit:q} --settings {params.settings:q} --output $(dirname {output.figures[0]}) --log {log}"


rule pool_health:
    input:
        shards=PLAN.samples_of(RUN.test_on),
        weights=[
            path
            for run in RUN.reference_runs()
            for path in PLAN.weights(run, PLAN.main_method)
        ],
    output:
        "results/reference/health.json",
    log:
        "logs/results/reference/health.log",
    benchmark:
        "logs/results/reference/health.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=PLAN.memory(2500, *RUN.test_on),
    params:
        shards=lambda wildcards, input: plan.folders(input.shards),
    message:
        "Measuring whether motion transfers and identity stays, seeds pooled"
    shell:
        "python -m evaluation.health --shards {params.shards} --checkpoint {input.weights} --output {output} --log {log}"


rule pool_samples:
    input:
        shards=PLAN.samples_of(PLAN.videos, PLAN.shown_shards),
        crop=[
            path
            for dataset in PLAN.videos
            for path in PLAN.stage(
                "crop", dataset, "tubes.json", first=PLAN.shown_shards
            )
        ],
        # Read by the names that the tubes give.
        media=[
            folder
            for dataset in PLAN.videos
            for folder in PLAN.media(dataset, PLAN.shown_shards)
        ],
    output:
        "results/reference/contact_sheet.png",
    log:
        "logs/results/reference/samples.log",
    benchmark:
        "logs/results/reference/samples.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=PLAN.memory(1500, *PLAN.videos),
    params:
        shards=lambda wildcards, input: plan.folders(input.shards),
        crop=lambda wildcards, input: plan.folders(input.crop),
        shown=PLAN.shown_samples(),
    message:
        "Drawing the contact sheet of clips that may be shown"
    shell:
        "python -m preprocessing.samples --shards {params.shards} --crop {params.crop} {params.shown}"
        " --output {output} --log {log}"


rule pool_provenance:
    input:
        weights=[path for run in RUN.reference_runs() for path in PLAN.all_weights(run)],
        shards=PLAN.indices(),
        tables=rules.pool_tables.output,
        figures=rules.pool_figures.output,
        health=rules.pool_health.output,
    output:
        "results/reference/provenance.json",
    log:
        "logs/results/reference/provenance.log",
    benchmark:
        "logs/results/reference/provenance.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=500,
    params:
        config=settings.as_json(RUN),
        shards=lambda wildcards, input: plan.folders(input.shards),
        benchmarks=[f"logs/results/{run}" for run in RUN.reference_runs()]
        + [f"logs/data/{dataset}" for dataset in RUN.datasets],
    message:
        "Recording what the reference was made of"
    shell:
        "python -m evaluation.report.provenance --run reference --config {params.config:q} --shards {params.shards}"
        " --checkpoints {input.weights} --benchmarks {params.benchmarks} --output {output} --log {log}"
