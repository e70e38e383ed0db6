# Tables, figures, provenance and the page.
rule make_tables:
    input:
        scores=lambda wildcards: PLAN.scores(wildcards.run),
        shards=PLAN.indices(),
    output:
        csv=expand("results/{{run}}/tables/table{n}.csv", n=plan.TABLES),
        md=report(
            expand("results/{{run}}/tables/table{n}.md", n=plan.TABLES),
            caption="../report/tables.rst",
            category="Tables",
        ),
        tex=expand("results/{{run}}/tables/table{n}.tex", n=plan.TABLES),
        comparisons="results/{run}/tables/comparisons.csv",
    log:
        "logs/results/{run}/tables.log",
    benchmark:
        "logs/results/{run}/tables.tsv"
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
        "Writing Tables 1 to 5 ({wildcards.run})"
    shell:
        "python -m evaluation.tables --scores {params.scores} --methods {params.methods:q}"
        " --label {params.label:q} --shards {params.shards} --train-on {params.train_on} --settings {params.settings:q}"
        " --output $(dirname {output.comparisons}) --log {log}"


rule draw_figures:
    input:
        shards=PLAN.samples_of(RUN.test_on),
        pairs=lambda wildcards: PLAN.pairs(wildcards.run),
        reenactments=lambda wildcards: PLAN.reenactments(wildcards.run),
    output:
        figures=report(
            expand("results/{{run}}/figures/figure{n}.png", n=plan.FIGURES),
            caption="../report/figures.rst",
            category="Figures",
        ),
    log:
        "logs/results/{run}/figures.log",
    benchmark:
        "logs/results/{run}/figures.tsv"
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
    message:
        "Drawing Figures 1 and 3 to 6 ({wildcards.run})"
    shell:
        "python -m evaluation.figures --shards {params.shards} --pairs {params.pairs}"
        " --reenactments {params.reenactments} --methods {params.methods:q} --label {params.label:q}"
        " --settings {params.settings:q} --output $(dirname {output.figures[0]}) --log {log}"


rule record_provenance:
    input:
        weights=lambda wildcards: PLAN.all_weights(wildcards.run),
        shards=PLAN.indices(),
        tables=rules.make_tables.output,
        figures=rules.draw_figures.output,
        health=rules.measure_health.output,
    output:
        "results/{run}/provenance.json",
    log:
        "logs/results/{run}/provenance.log",
    benchmark:
        "logs/results/{run}/provenance.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=500,
    params:
        config=settings.as_json(RUN),
        shards=lambda wildcards, input: plan.folders(input.shards),
        benchmarks=lambda wildcards: PLAN.benchmark_folders(wildcards.run),
    message:
        "Recording what {wildcards.run} was made of"
    shell:
        "python -m evaluation.report.provenance --run {wildcards.run} --config {params.config:q} --shards {params.shards}"
        " --checkpoints {input.weights} --benchmarks {params.benchmarks} --output {output} --log {log}"


rule drive_clips:
    input:
        shards=PLAN.samples_of(RUN.test_on),
        weights=lambda wildcards: PLAN.all_weights(wildcards.run),
    output:
        directory("results/{run}/videos"),
    log:
        "logs/results/{run}/videos.log",
    benchmark:
        "logs/results/{run}/videos.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=PLAN.memory(2500, *RUN.test_on),
    params:
        methods=PLAN.names(PLAN.weighted),
        shards=lambda wildcards, input: plan.folders(input.shards),
        checkpoints=lambda wildcards, input: plan.folders(input.weights, above=1),
        settings=PLAN.settings("evaluation", only=("report",)),
    message:
        "Driving whole clips by every method ({wildcards.run})"
    shell:
        "python -m evaluation.report.videos --shards {params.shards} --checkpoints {params.checkpoints}"
        " --methods {params.methods:q} --output {output} --settings {params.settings:q} --log {log}"


# Which clips there are is not known while planning: the pages are a folder with an index.
rule write_pages:
    input:
        shards=PLAN.samples_of(RUN.test_on),
        pairs=lambda wildcards: PLAN.pairs(wildcards.run),
        reenactments=lambda wildcards: PLAN.reenactments(wildcards.run),
        scores=lambda wildcards: PLAN.scores(wildcards.run),
        accounts=lambda wildcards: PLAN.accounts(wildcards.run),
        tables=rules.make_tables.output,
        videos=rules.drive_clips.output,
    output:
        directory("results/{run}/pages"),
    log:
        "logs/results/{run}/pages.log",
    benchmark:
        "logs/results/{run}/pages.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=PLAN.memory(1500, *RUN.test_on),
    params:
        methods=PLAN.names(),
        shards=lambda wildcards, input: plan.folders(input.shards),
        settings=PLAN.settings("evaluation", only=("report", "bootstrap_samples")),
    message:
        "Writing a page per method and per clip ({wildcards.run})"
    shell:
        "python -m evaluation.report.pages --results $(dirname {output}) --shards {params.shards}"
        " --methods {params.methods:q} --output {output} --settings {params.settings:q} --log {log}"


rule write_report:
    input:
        training=lambda wildcards: PLAN.training(wildcards.run),
        accounts=lambda wildcards: PLAN.accounts(wildcards.run),
        samples=lambda wildcards: PLAN.samples(wildcards.run),
        tables=rules.make_tables.output,
        figures=rules.draw_figures.output,
        health=rules.measure_health.output,
        provenance=rules.record_provenance.output,
        videos=rules.drive_clips.output,
        pages=rules.write_pages.output,
    output:
        report(
            "results/{run}/report.html",
            caption="../report/report.rst",
            category="Report",
        ),
    log:
        "logs/results/{run}/report.log",
    benchmark:
        "logs/results/{run}/report.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=1500,
    params:
        settings=PLAN.settings("evaluation", only=("report",)),
    message:
        "Writing the report of {wildcards.run}"
    shell:
        "python -m evaluation.report --results $(dirname {output}) --samples {input.samples} --output {output}"
        " --settings {params.settings:q} --log {log}"
