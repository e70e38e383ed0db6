# One model per method. Checkpoints lie beside the weights and are no outputs of the rule, so that Snakemake does not
# delete them when a job is killed: the next run continues from the last one.
rule train_method:
    input:
        shards=PLAN.training_shards(),
    output:
        weights="results/{run}/checkpoints/{method}/final.safetensors",
        card="results/{run}/checkpoints/{method}/card.md",
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
    wildcard_constraints:
        method=PLAN.one_of(PLAN.trained_at_once),
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
        start=lambda wildcards, input: (
            f"--start {input.start}" if "start" in input.keys() else ""
        ),
    message:
        "Training {wildcards.method} ({wildcards.run})"
    shell:
        "python -m model.train --shards {params.shards} --method {wildcards.method} --model {params.model:q}"
        " --settings {params.training:q} --seed {params.seed} --output $(dirname {output.weights}) {params.start}"
        " --curves {output.curves} --tensorboard {params.events} --log {log}"


# A method with an adversarial fine-tune is trained in two steps. The real images are looked at before the first one.
use rule train_method as pretrain_method with:
    input:
        shards=PLAN.training_shards(),
        real="results/{run}/checkpoints/{method}/real_images.json",
    output:
        weights="results/{run}/checkpoints/{method}/pretrained/final.safetensors",
        card="results/{run}/checkpoints/{method}/pretrained/card.md",
        curves="results/{run}/training/{method}-pretrained.parquet",
        picture=report(
            "results/{run}/training/{method}-pretrained.png",
            caption="../report/training.rst",
            category="Training",
        ),
    log:
        "logs/results/{run}/train/{method}-pretrained.log",
    benchmark:
        "logs/results/{run}/train/{method}-pretrained.tsv"
    wildcard_constraints:
        method=PLAN.one_of(PLAN.finetuned),


rule check_real_images:
    output:
        "results/{run}/checkpoints/{method}/real_images.json",
    log:
        "logs/results/{run}/train/{method}-real_images.log",
    benchmark:
        "logs/results/{run}/train/{method}-real_images.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=1000,
    params:
        training=lambda wildcards: PLAN.settings("training", method=wildcards.method),
    message:
        "Checking the real images for {wildcards.method}"
    shell:
        "python -m model.real_images --settings {params.training:q} --output {output} --log {log}"


use rule train_method as finetune_method with:
    input:
        shards=PLAN.training_shards(),
        start=rules.pretrain_method.output.weights,
    log:
        "logs/results/{run}/train/{method}-finetuned.log",
    benchmark:
        "logs/results/{run}/train/{method}-finetuned.tsv"
    wildcard_constraints:
        method=PLAN.one_of(PLAN.finetuned),
    message:
        "Fine-tuning {wildcards.method} adversarially ({wildcards.run})"
