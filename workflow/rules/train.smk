# One model per method. Checkpoints lie beside the weights and are no outputs of the rule, so that Snakemake does not
# delete them when a job is killed: the next run continues from the last one.
rule train_method:
    input:
        shards=PLAN.training_shards(),
    output:
        weights="results/{run}/checkpoints/{method}/final.safetensors",
        curves="results/{run}/training/{method}.parquet",
        picture=report(
            "results/{run}/training/{method}.png",
            caption="../report/training.rst",
            category="Training",
        ),
    log:
        "logs/results/{run}/train/{method}.log",
    benchmark:
        "logs/results/{run}/train/{method}.tsv"
    # The longest trainings first: the ablation's short ones fill the other core meanwhile.
    priority: lambda wildcards: RUN.training_of(wildcards.method).iterations
    conda:
        "../../environment.yml"
    threads: lambda wildcards: RUN.training_of(wildcards.method).threads
    resources:
        mem_mb=2500,
    params:
        shards=PLAN.shard_folders(RUN.train_on),
        model=lambda wildcards: PLAN.settings("model", method=wildcards.method),
        training=lambda wildcards: PLAN.settings("training", method=wildcards.method),
        seed=lambda wildcards: RUN.seed_of(wildcards.run),
        events="logs/results/{run}/tensorboard/{method}",
    message:
        "Training {wildcards.method} ({wildcards.run})"
    shell:
        "python -m model.train --shards {params.shards} --method {wildcards.method} --model {params.model:q}"
        " --settings {params.training:q} --seed {params.seed} --output $(dirname {output.weights})"
        " --curves {output.curves} --tensorboard {params.events} --log {log}"
