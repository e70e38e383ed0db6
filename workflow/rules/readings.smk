# Head angles and action units by a detector with an environment of its own: pictures out, its CSV, readings in.
rule build_pyfeat:
    input:
        # A fresh checkout's lock is newer than the environment that it named already.
        lock=ancient(local(plan.PYFEAT_LOCK)),
    output:
        local(PLAN.pyfeat_ready()),
    log:
        "logs/environments/py-feat.log",
    benchmark:
        "logs/environments/py-feat.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=1000,
    message:
        "Setting up py-feat's environment (7 GB, once)"
    shell:
        "python -m workflow.isolated {input.lock} > {log} 2>&1"


rule export_pictures:
    input:
        shards=lambda wildcards: PLAN.samples_of([wildcards.dataset]),
        pairs="results/{run}/pairs/{dataset}/{protocol}.csv",
        reenactments=rules.reenact_pairs.output,
    output:
        temp(directory("results/{run}/readings/{dataset}/{method}/{protocol}/pictures")),
    log:
        "logs/results/{run}/readings/{dataset}/{method}-{protocol}-pictures.log",
    benchmark:
        "logs/results/{run}/readings/{dataset}/{method}-{protocol}-pictures.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=lambda wildcards: PLAN.memory(1500, wildcards.dataset),
    message:
        "Writing the pictures of {wildcards.protocol} pairs of {wildcards.dataset} by {wildcards.method}"
    shell:
        "python -m evaluation.readings export --shards $(dirname {input.shards[0]}) --pairs {input.pairs}"
        " --reenactments $(dirname {input.reenactments[0]}) --output {output} --log {log}"


rule read_with_pyfeat:
    input:
        pictures=rules.export_pictures.output,
        environment=ancient(rules.build_pyfeat.output),
        registered=ancient(PLAN.checks(plan.PYFEAT_WEIGHTS)),
    output:
        csv="results/{run}/readings/{dataset}/{method}/{protocol}/py-feat.csv",
        about="results/{run}/readings/{dataset}/{method}/{protocol}/py-feat.csv.json",
    log:
        "logs/results/{run}/readings/{dataset}/{method}-{protocol}-py-feat.log",
    benchmark:
        "logs/results/{run}/readings/{dataset}/{method}-{protocol}-py-feat.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=4000,
    params:
        weights=PLAN.weights_folder(),
    message:
        "Reading faces with py-feat: {wildcards.protocol} pairs of {wildcards.dataset} by {wildcards.method}"
    shell:
        "$(dirname {input.environment})/bin/python evaluation/external/pyfeat.py --pictures {input.pictures}"
        " --weights {params.weights:q} --output {output.csv} > {log} 2>&1"


rule collect_readings:
    input:
        pictures=rules.export_pictures.output,
        csv=rules.read_with_pyfeat.output.csv,
        about=rules.read_with_pyfeat.output.about,
    output:
        "results/{run}/readings/{dataset}/{method}/{protocol}/py-feat.parquet",
    log:
        "logs/results/{run}/readings/{dataset}/{method}-{protocol}.log",
    benchmark:
        "logs/results/{run}/readings/{dataset}/{method}-{protocol}.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=1000,
    message:
        "Collecting py-feat's readings of {wildcards.protocol} pairs of {wildcards.dataset} by {wildcards.method}"
    shell:
        "python -m evaluation.readings collect --backend py-feat --pictures {input.pictures} --csv {input.csv}"
        " --about {input.about} --output {output} --log {log}"
