# Teacher, its stored references, and the students: one GPU job each.

HELD = range(CFG.reference_folds)


def trained(folder):
    return dict(
        weights=f"{folder}/weights.safetensors",
        epochs=f"{folder}/epochs.safetensors",
        history=f"{folder}/history.parquet",
    )


def teacher_files():
    return expand(
        f"{RUN}/{{fold}}/teacher/{{seed}}/weights.safetensors", fold=FOLDS, seed=SEEDS
    )


def student_files():
    return expand(
        f"{RUN}/{{fold}}/student/{{variant}}/{{seed}}/weights.safetensors",
        fold=FOLDS,
        variant=VARIANTS,
        seed=SEEDS,
    )


if not CORPUS.given:

    # what a network of NAMED may begin from, where there is a text encoder
    rule label_names:
        input:
            dataset=f"{RUN}/{{fold}}/dataset",
            encoder=f"{RUN}/encoders/text",
        output:
            names=f"{RUN}/{{fold}}/label_names.safetensors",
        log:
            f"{LOGS}/label_names/{{fold}}.log",
        benchmark:
            f"{COSTS}/label_names/{{fold}}.tsv"
        conda:
            "../envs/encoders.yaml"
        threads: CFG.threads
        resources:
            gpu=GPU,
            mem_mb=memory(4000),
            runtime=30,
        params:
            **made_by(
                "pipeline.label_names",
                *loaders("text"),
                cfg=dict(encoder=CFG.encoders.text, **COMPUTE),
                unread=["encoder.weights"],
            ),
        shell:
            "python -m pipeline.label_names --params {params.cfg:q} --dataset {input.dataset:q}"
            " --encoder {input.encoder:q} --names {output.names:q} > {log:q} 2>&1"

    # how reliable the features are, for networks of GAUGED
    rule trust:
        input:
            dataset=f"{RUN}/{{fold}}/dataset",
            gauges=expand(f"{RUN}/features/gauges/{{shard}}.parquet", shard=SHARDS),
        output:
            trust=f"{RUN}/{{fold}}/trust.safetensors",
        log:
            f"{LOGS}/trust/{{fold}}.log",
        benchmark:
            f"{COSTS}/trust/{{fold}}.tsv"
        conda:
            "../envs/training.yaml"
        resources:
            mem_mb=memory(2500),
            runtime=30,
        params:
            **made_by("pipeline.trust"),
        shell:
            "python -m pipeline.trust --params {params.cfg:q} --dataset {input.dataset:q}"
            " --gauges {input.gauges:q} --trust {output.trust:q} > {log:q} 2>&1"


def names_for(fold, networks):
    """The vectors of the labels' names, if one of these networks begins from them and there are any."""
    read = not CORPUS.given and any(name in NAMED for name in networks)
    return [f"{RUN}/{fold}/label_names.safetensors"] if read else []


def trust_for(fold, networks):
    """The reliability inputs, if one of these networks reads them."""
    read = any(name in GAUGED for name in networks)
    return [f"{RUN}/{fold}/trust.safetensors"] if read else []


rule teacher:
    input:
        dataset=f"{RUN}/{{fold}}/dataset",
        names=lambda wildcards: names_for(wildcards.fold, network_of(wildcards)),
    output:
        **trained(f"{RUN}/{{fold}}/teacher/{{seed}}"),
    log:
        f"{LOGS}/teacher/{{fold}}-{{seed}}.log",
    benchmark:
        f"{COSTS}/teacher/{{fold}}-{{seed}}.tsv"
    conda:
        "../envs/training.yaml"
    threads: CFG.threads
    resources:
        gpu=GPU,
        mem_mb=memory(4000),
        runtime=240,
    params:
        **made_by(
            "pipeline.teacher",
            networks=network_of,
            cfg=lambda wildcards: dict(
                network=of_fold(wildcards.fold).network_of("teacher"),
                training=of_fold(wildcards.fold).training,
                teacher=of_fold(wildcards.fold).teacher,
                seed=int(wildcards.seed),
                **COMPUTE,
            ),
            unread=["training.validation"],
        ),
    shell:
        "python -m pipeline.teacher --params {params.cfg:q} --dataset {input.dataset:q}"
        " --names {input.names:q} --weights {output.weights:q} --epochs {output.epochs:q} --history {output.history:q}"
        " > {log:q} 2>&1"


# a teacher that has not seen one part of the training dialogues, for cross-fitted references
use rule teacher as held_out_teacher with:
    output:
        **trained(f"{RUN}/{{fold}}/teacher/{{seed}}/held-{{held}}"),
    log:
        f"{LOGS}/teacher/{{fold}}-{{seed}}-held-{{held}}.log",
    benchmark:
        f"{COSTS}/teacher/{{fold}}-{{seed}}-held-{{held}}.tsv"
    params:
        **made_by(
            "pipeline.teacher",
            networks=network_of,
            cfg=lambda wildcards: dict(
                network=of_fold(wildcards.fold).network_of("teacher"),
                training=of_fold(wildcards.fold).training,
                teacher=of_fold(wildcards.fold).teacher,
                seed=int(wildcards.seed),
                held_out=int(wildcards.held),
                folds=CFG.reference_folds,
                **COMPUTE,
            ),
            unread=["training.validation"],
        ),


def held_out_of(wildcards):
    """The teachers that have not seen a part of the training dialogues, seed by seed."""
    seeds = dict(
        in_sample=[], cross_fitted=[wildcards.seed], ensemble=CFG.reference_seeds
    )
    return [
        f"{RUN}/{wildcards.fold}/teacher/{seed}/held-{held}/weights.safetensors"
        for seed in seeds[wildcards.references]
        for held in HELD
    ]


rule references:
    input:
        teacher=f"{RUN}/{{fold}}/teacher/{{seed}}/weights.safetensors",
        folds=held_out_of,
        dataset=f"{RUN}/{{fold}}/dataset",
    output:
        references=f"{RUN}/{{fold}}/references/{{references}}/{{seed}}.safetensors",
    log:
        f"{LOGS}/references/{{references}}/{{fold}}-{{seed}}.log",
    benchmark:
        f"{COSTS}/references/{{references}}/{{fold}}-{{seed}}.tsv"
    wildcard_constraints:
        references="in_sample|cross_fitted|ensemble",
    conda:
        "../envs/training.yaml"
    threads: CFG.threads
    resources:
        gpu=GPU,
        mem_mb=memory(4000),
        runtime=60,
    params:
        **made_by(
            "pipeline.references",
            networks=network_of,
            cfg=lambda wildcards: dict(
                references=wildcards.references,
                folds=0 if wildcards.references == "in_sample" else len(HELD),
                **COMPUTE,
            ),
        ),
    shell:
        "python -m pipeline.references --params {params.cfg:q} --dataset {input.dataset:q}"
        " --teacher {input.teacher:q} --folds {input.folds:q} --references {output.references:q}"
        " > {log:q} 2>&1"


# a teacher that knows how the corpus was made: what distilling answers could buy at most, and no method
rule oracle:
    input:
        latent=expand(f"{RUN}/corpus/{{part}}", part=PARTS),
        dataset=f"{RUN}/{{fold}}/dataset",
    output:
        references=f"{RUN}/{{fold}}/references/oracle.safetensors",
    log:
        f"{LOGS}/oracle/{{fold}}.log",
    benchmark:
        f"{COSTS}/oracle/{{fold}}.tsv"
    conda:
        "../envs/training.yaml"
    resources:
        mem_mb=memory(3000),
        runtime=60,
    params:
        **made_by(
            "pipeline.oracle",
            cfg=dict(process=CFG.embedded.process, folds=CFG.reference_folds),
        ),
        tables=[f"{RUN}/corpus/{part}/latent.parquet" for part in PARTS],
    shell:
        "python -m pipeline.oracle --params {params.cfg:q} --latent {params.tables:q}"
        " --dataset {input.dataset:q} --references {output.references:q} > {log:q} 2>&1"


def references_of(fold, kind, seed):
    """The file of the references of a kind; the oracle has no seed."""
    own = "oracle" if kind == "oracle" else f"{kind}/{seed}"
    return f"{RUN}/{fold}/references/{own}.safetensors"


def student_inputs(wildcards):
    objective = of_fold(wildcards.fold).objective_of(wildcards.variant)
    fold, seed = wildcards.fold, wildcards.seed
    start = objective.initialisation == "teacher"
    stored = references_of(fold, objective.references, seed)
    return dict(
        references=[stored] if objective.needs_references else [],
        teacher=[f"{RUN}/{fold}/teacher/{seed}/weights.safetensors"] if start else [],
        names=names_for(fold, network_of(wildcards)),
        trust=trust_for(fold, network_of(wildcards)),
    )


rule student:
    input:
        unpack(student_inputs),
        dataset=f"{RUN}/{{fold}}/dataset",
        masks=f"{RUN}/{{fold}}/protocol/masks.safetensors",
    output:
        **trained(f"{RUN}/{{fold}}/student/{{variant}}/{{seed}}"),
    log:
        f"{LOGS}/student/{{fold}}-{{variant}}-{{seed}}.log",
    benchmark:
        f"{COSTS}/student/{{fold}}-{{variant}}-{{seed}}.tsv"
    conda:
        "../envs/training.yaml"
    threads: CFG.threads
    resources:
        gpu=GPU,
        mem_mb=memory(4000),
        runtime=240,
    params:
        **made_by(
            "pipeline.student",
            networks=network_of,
            cfg=lambda wildcards: dict(
                network=of_fold(wildcards.fold).network_of(wildcards.variant),
                training=of_fold(wildcards.fold).training,
                objective=of_fold(wildcards.fold).objective_of(wildcards.variant),
                seed=int(wildcards.seed),
                **COMPUTE,
            ),
        ),
    shell:
        "python -m pipeline.student --params {params.cfg:q} --dataset {input.dataset:q}"
        " --masks {input.masks:q} --references {input.references:q} --teacher {input.teacher:q}"
        " --names {input.names:q} --trust {input.trust:q}"
        " --weights {output.weights:q} --epochs {output.epochs:q} --history {output.history:q}"
        " > {log:q} 2>&1"


# a student that has not seen one part of the training dialogues, so that it can be asked about them
use rule student as held_out_student with:
    output:
        **trained(f"{RUN}/{{fold}}/student/{{variant}}/{{seed}}/held-{{held}}"),
    log:
        f"{LOGS}/student/{{fold}}-{{variant}}-{{seed}}-held-{{held}}.log",
    benchmark:
        f"{COSTS}/student/{{fold}}-{{variant}}-{{seed}}-held-{{held}}.tsv"
    params:
        **made_by(
            "pipeline.student",
            networks=network_of,
            cfg=lambda wildcards: dict(
                network=of_fold(wildcards.fold).network_of(wildcards.variant),
                training=of_fold(wildcards.fold).training,
                objective=of_fold(wildcards.fold).objective_of(wildcards.variant),
                seed=int(wildcards.seed),
                held_out=int(wildcards.held),
                folds=CFG.reference_folds,
                **COMPUTE,
            ),
        ),


# the variant that meets incomplete views and has no teacher
ALONE = "modality_dropout"


def held_out_networks(folder):
    """Those that have not seen a part of the training dialogues: fold by fold, seed by seed."""
    return [
        f"{RUN}/{fold}/{folder}/{seed}/held-{held}/weights.safetensors"
        for fold in FOLDS
        for seed in SEEDS
        for held in HELD
    ]


# where the teacher knows more than a student, on dialogues that neither has seen
rule payoff:
    input:
        dataset=expand(f"{RUN}/{{fold}}/dataset", fold=FOLDS),
        masks=expand(f"{RUN}/{{fold}}/protocol/masks.safetensors", fold=FOLDS),
        teachers=held_out_networks("teacher"),
        students=held_out_networks(f"student/{ALONE}"),
    output:
        made=touch(stamp(f"{RUN}/results/payoff")),
    log:
        f"{LOGS}/payoff.log",
    benchmark:
        f"{COSTS}/payoff.tsv"
    conda:
        "../envs/training.yaml"
    threads: CFG.threads
    resources:
        gpu=GPU,
        mem_mb=memory(4000),
        runtime=60,
    params:
        **made_by(
            "pipeline.payoff",
            networks=lambda wildcards: sorted(
                {
                    network_named(fold, variant)
                    for fold in FOLDS
                    for variant in ("teacher", ALONE)
                }
            ),
            cfg=dict(
                report=CFG.report,
                student=ALONE,
                folds=len(HELD),
                seeds=SEEDS,
                masks_seed=CFG.protocol.seed,
                **COMPUTE,
            ),
        ),
        folder=filled,
    shell:
        "python -m pipeline.payoff --params {params.cfg:q} --dataset {input.dataset:q}"
        " --masks {input.masks:q} --teachers {input.teachers:q} --students {input.students:q}"
        " --folder {params.folder:q} > {log:q} 2>&1"
