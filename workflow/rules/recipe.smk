# The recipe's ablation (target `recipe`): what each variant of model and training does, all seeds pooled.
rule measure_variant:
    input:
        shards=PLAN.samples_of(PLAN.videos),
        weights="results/{run}/checkpoints/{method}/final.safetensors",
    output:
        figures="results/{run}/recipe/{method}.parquet",
        pictures="results/{run}/recipe/{method}.npy",
    log:
        "logs/results/{run}/recipe/{method}.log",
    benchmark:
        "logs/results/{run}/recipe/{method}.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=PLAN.memory(2500, *PLAN.videos),
    params:
        shards=lambda wildcards, input: plan.folders(input.shards),
        # Fitting strangers to their photos is a question to one model, not to each.
        steps=lambda wildcards: (
            RUN.evaluation.fit_steps if wildcards.method == PLAN.main_method else 0
        ),
        shown=PLAN.shown_clips(),
    message:
        "Examining {wildcards.method} ({wildcards.run})"
    shell:
        "python -m evaluation.recipe measure --shards {params.shards} --checkpoint {input.weights}"
        " --fit {params.steps} {params.shown} --output {output.figures} --log {log}"


rule recipe_table:
    input:
        [path for run in RUN.reference_runs() for path in PLAN.recipe(run)],
    output:
        table=f"results/{RUN.run}/recipe.csv",
        markdown=f"results/{RUN.run}/recipe.md",
        picture=report(
            f"results/{RUN.run}/recipe.png",
            caption="../report/recipe.rst",
            category="Training",
        ),
    log:
        f"logs/results/{RUN.run}/recipe.log",
    benchmark:
        f"logs/results/{RUN.run}/recipe.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=500,
    params:
        measured=lambda wildcards, input: [p for p in input if p.endswith(".parquet")],
        # Of one seed.
        pictures=lambda wildcards, input: [
            p
            for p in input
            if p.endswith(".npy") and p.startswith(f"results/{RUN.run}/")
        ],
        methods=PLAN.names(PLAN.planedicts),
        credit=RUN.reference.credit,
    message:
        "Pooling the recipe's ablation"
    shell:
        "python -m evaluation.recipe table --measured {params.measured} --pictures {params.pictures}"
        " --methods {params.methods:q} --credit {params.credit:q} --output {output.table} --log {log}"
