# One model per method. Checkpoints lie beside the weights and are no outputs of the rule, so that Snakemake does not
# delete them when a job is killed: the next run continues from the last one.
rule train_method:
    input:
        shards=PLAN.samples_of(RUN.train_on),
        # Named before anything heavy starts.
        registered=ancient("results/{run}/weights.checked"),
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
    threads: lambda wildcards: PLAN.training_threads(wildcards.method)
    resources:
        mem_mb=lambda wildcards: PLAN.memory(2500, *RUN.train_on)
        * RUN.training_of(wildcards.method).devices,
        # Only a cluster counts these; on one machine they bound nothing.
        gpu=lambda wildcards: RUN.training_of(wildcards.method).devices,
        nodes=lambda wildcards: RUN.training_of(wildcards.method).nodes,
    params:
        launcher=lambda wildcards: PLAN.launcher(wildcards.method),
        shards=lambda wildcards, input: plan.folders(input.shards),
        kind=lambda wildcards: RUN.kind_of(wildcards.method).name,
        model=lambda wildcards: PLAN.settings("model", method=wildcards.method),
        training=lambda wildcards: PLAN.settings("training", method=wildcards.method),
        seed=lambda wildcards: RUN.seed_of(wildcards.run),
        # One folder per stage, named as its curves are.
        events=lambda wildcards, output: (
            f"logs/results/{wildcards.run}/tensorboard/{Path(output.curves).stem}"
        ),
        start=lambda wildcards, input: (
            f"--start {input.start}" if "start" in input.keys() else ""
        ),
    message:
        "Training {wildcards.method} ({wildcards.run})"
    shell:
        "python {params.launcher} model.train --shards {params.shards} --kind {params.kind} --method {wildcards.method} --model {params.model:q}"
        " --settings {params.training:q} --seed {params.seed} --output $(dirname {output.weights}) {params.start}"
        " --curves {output.curves} --tensorboard {params.events} --log {log}"


# A method with an adversarial fine-tune is trained in two steps. The real images are looked at before the first one.
use rule train_method as pretrain_method with:
    input:
        shards=PLAN.samples_of(RUN.train_on),
        registered=ancient("results/{run}/weights.checked"),
        # Checked first, used later: other images do not train the first stage again.
        real=ancient("results/{run}/checkpoints/{method}/real_images.json"),
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
    input:
        lambda wildcards: local(PLAN.real_images(wildcards.method)),
        lambda wildcards: PLAN.made_photos(wildcards.method),
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
        "python -m model.adversarial.real_images --settings {params.training:q} --output {output} --log {log}"


use rule train_method as finetune_method with:
    input:
        shards=PLAN.samples_of(RUN.train_on),
        start=rules.pretrain_method.output.weights,
        real=rules.check_real_images.output,
    log:
        "logs/results/{run}/train/{method}-finetuned.log",
    benchmark:
        "logs/results/{run}/train/{method}-finetuned.tsv"
    wildcard_constraints:
        method=PLAN.one_of(PLAN.finetuned),
    message:
        "Fine-tuning {wildcards.method} adversarially ({wildcards.run})"


# The weights that a method's authors have published take the place of a training.
rule take_method:
    input:
        lambda wildcards: local(PLAN.checkpoint_files(wildcards.method)),
        registered=ancient("results/{run}/weights.checked"),
    output:
        weights="results/{run}/checkpoints/{method}/final.safetensors",
        card="results/{run}/checkpoints/{method}/card.md",
    log:
        "logs/results/{run}/train/{method}-taken.log",
    benchmark:
        "logs/results/{run}/train/{method}-taken.tsv"
    wildcard_constraints:
        method=PLAN.one_of(RUN.taken),
    # A missing file is named before anything heavy starts.
    priority: 10**9
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=2500,
    params:
        kind=lambda wildcards: RUN.kind_of(wildcards.method).name,
        model=lambda wildcards: PLAN.settings("model", method=wildcards.method),
        checkpoint=lambda wildcards: RUN.driven[wildcards.method].checkpoint,
    message:
        "Taking the authors' weights of {wildcards.method} ({wildcards.run})"
    shell:
        "python -m model.baselines.take --kind {params.kind} --model {params.model:q} --checkpoint {params.checkpoint:q}"
        " --method {wildcards.method} --output $(dirname {output.weights}) --log {log}"
