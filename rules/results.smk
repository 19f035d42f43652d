# The frozen protocol, predictions under it, and what people read.

from pipeline.settings.config import learnt_from
from pipeline.settings.learnt import over_folds
from pipeline.settings.training import ValidationMix


def prediction_files():
    return expand(
        f"{RUN}/{{fold}}/predictions/{{variant}}/{{seed}}.parquet",
        fold=FOLDS,
        variant=["teacher", *VARIANTS],
        seed=SEEDS,
    )


def ceiling_files():
    return (
        expand(f"{RUN}/{{fold}}/ceilings.parquet", fold=FOLDS)
        if CORPUS.generated
        else []
    )


def simple_files():
    return expand(f"{RUN}/{{fold}}/simple.parquet", fold=FOLDS)


def results_files():
    return [
        stamp(f"{RUN}/results/{name}")
        for name in ("tables", "figures/protocol", "across")
    ]


def named(kind):
    """The label of a file of the report: its name, in words."""
    return lambda wildcards: {kind: wildcards.name.replace("_", " ")}


def shown(part, patterns, label, **about):
    """What the report shows of a folder of results: copies, for Snakemake packs declared folders alone."""
    return report(
        directory(f"{RUN}/report/{part}"),
        patterns=patterns,
        labels=named(label),
        **about,
    )


def figures_of(family, **about):
    """The outputs of a rule that draws a family of figures: every SVG is shown."""
    return dict(
        made=touch(stamp(f"{RUN}/results/figures/{family}")),
        shown=shown(f"figures/{family}", ["{name}.svg"], "figure", **about),
    )


def print_summary():
    """What a person wants to read at the end: the short table, and where the rest lies."""
    summary = Path(RUN, "results", "tables", "summary.txt")
    if summary.is_file():
        print(summary.read_text(encoding="utf-8"))
        print(f"Tables:  {RUN}/results/tables/main.md and its neighbours")
        print(f"Figures: {RUN}/results/figures/")
        print(
            f"Utterances, one by one: {RUN}/results/explorer.html (opens in a browser)"
        )
        print("All of it as one report: snakemake --report report.zip")


def learnt():
    """What each student has learnt from, for those who read of it."""
    return {
        name: over_folds(
            [
                learnt_from(own.objective_of(name), own.objective_of("corekd"))
                for own in map(of_fold, FOLDS)
            ]
        )
        for name in VARIANTS
    }


rule masks:
    input:
        dataset=f"{RUN}/{{fold}}/dataset",
    output:
        masks=f"{RUN}/{{fold}}/protocol/masks.safetensors",
    log:
        f"{LOGS}/masks/{{fold}}.log",
    benchmark:
        f"{COSTS}/masks/{{fold}}.tsv"
    conda:
        "../envs/training.yaml"
    resources:
        mem_mb=memory(3000),
        runtime=30,
    params:
        **made_by(
            "pipeline.masks",
            cfg=dict(random=CFG.protocol.random, seed=CFG.protocol.seed),
        ),
    shell:
        "python -m pipeline.masks --params {params.cfg:q} --dataset {input.dataset:q}"
        " --masks {output.masks:q} > {log:q} 2>&1"


rule conflicts:
    input:
        dataset=f"{RUN}/{{fold}}/dataset",
    output:
        conflicts=f"{RUN}/{{fold}}/protocol/conflicts.parquet",
    log:
        f"{LOGS}/conflicts/{{fold}}.log",
    benchmark:
        f"{COSTS}/conflicts/{{fold}}.tsv"
    conda:
        "../envs/training.yaml"
    resources:
        mem_mb=memory(3000),
        runtime=30,
    params:
        **made_by(
            "pipeline.conflicts",
            cfg=dict(conflict=CFG.protocol.conflict, seed=CFG.protocol.seed),
        ),
    shell:
        "python -m pipeline.conflicts --params {params.cfg:q} --dataset {input.dataset:q}"
        " --conflicts {output.conflicts:q} > {log:q} 2>&1"


# rows without a network, which every network has to beat
rule simple:
    input:
        dataset=f"{RUN}/{{fold}}/dataset",
        masks=f"{RUN}/{{fold}}/protocol/masks.safetensors",
        conflicts=f"{RUN}/{{fold}}/protocol/conflicts.parquet",
        unreliable=lambda wildcards: unreliable_of(wildcards.fold),
    output:
        simple=f"{RUN}/{{fold}}/simple.parquet",
    log:
        f"{LOGS}/simple/{{fold}}.log",
    benchmark:
        f"{COSTS}/simple/{{fold}}.tsv"
    conda:
        "../envs/training.yaml"
    resources:
        mem_mb=memory(4000),
        runtime=120,
    params:
        **made_by(
            "pipeline.simple",
            cfg=dict(
                validation=CFG.training.validation,
                regression_score=CFG.training.regression_score,
            ),
        ),
    shell:
        "python -m pipeline.simple --params {params.cfg:q} --dataset {input.dataset:q}"
        " --masks {input.masks:q} --conflicts {input.conflicts:q} --unreliable {input.unreliable:q}"
        " --simple {output.simple:q}"
        " > {log:q} 2>&1"


rule ceilings:
    input:
        latent=expand(f"{RUN}/corpus/{{part}}", part=PARTS),
        dataset=f"{RUN}/{{fold}}/dataset",
        masks=f"{RUN}/{{fold}}/protocol/masks.safetensors",
        conflicts=f"{RUN}/{{fold}}/protocol/conflicts.parquet",
    output:
        ceilings=f"{RUN}/{{fold}}/ceilings.parquet",
    log:
        f"{LOGS}/ceilings/{{fold}}.log",
    benchmark:
        f"{COSTS}/ceilings/{{fold}}.tsv"
    conda:
        "../envs/training.yaml"
    resources:
        mem_mb=memory(3000),
        runtime=60,
    params:
        **made_by("pipeline.ceilings", cfg=dict(process=CFG.embedded.process)),
        tables=[f"{RUN}/corpus/{part}/latent.parquet" for part in PARTS],
    shell:
        "python -m pipeline.ceilings --params {params.cfg:q} --latent {params.tables:q}"
        " --dataset {input.dataset:q} --masks {input.masks:q} --conflicts {input.conflicts:q}"
        " --ceilings {output.ceilings:q} > {log:q} 2>&1"


def weights_of(wildcards):
    trained = (
        "teacher" if wildcards.variant == "teacher" else f"student/{wildcards.variant}"
    )
    folder = f"{RUN}/{wildcards.fold}/{trained}/{wildcards.seed}"
    return dict(
        weights=f"{folder}/weights.safetensors", epochs=f"{folder}/epochs.safetensors"
    )


def chosen_by(variant):
    """The mix by which training chose the epoch of a variant, and so the oracle's; the teacher's is fixed."""
    if variant == "teacher":
        return ValidationMix(complete=1, fixed=0, random=0)
    return CFG.training.validation


rule evaluate:
    input:
        unpack(weights_of),
        dataset=f"{RUN}/{{fold}}/dataset",
        trust=lambda wildcards: trust_for(wildcards.fold, network_of(wildcards)),
        masks=f"{RUN}/{{fold}}/protocol/masks.safetensors",
        conflicts=f"{RUN}/{{fold}}/protocol/conflicts.parquet",
        unreliable=lambda wildcards: unreliable_of(wildcards.fold),
    output:
        predictions=f"{RUN}/{{fold}}/predictions/{{variant}}/{{seed}}.parquet",
    log:
        f"{LOGS}/evaluate/{{fold}}-{{variant}}-{{seed}}.log",
    benchmark:
        f"{COSTS}/evaluate/{{fold}}-{{variant}}-{{seed}}.tsv"
    conda:
        "../envs/training.yaml"
    threads: CFG.threads
    resources:
        gpu=GPU,
        mem_mb=memory(4000),
        runtime=60,
    params:
        **made_by(
            "pipeline.evaluate",
            networks=network_of,
            cfg=lambda wildcards: dict(
                oracle=CFG.report.oracle,
                validation=chosen_by(wildcards.variant),
                regression_score=CFG.training.regression_score,
                **COMPUTE,
            ),
        ),
    shell:
        "python -m pipeline.evaluate --params {params.cfg:q} --dataset {input.dataset:q}"
        " --masks {input.masks:q} --conflicts {input.conflicts:q} --unreliable {input.unreliable:q} --trust {input.trust:q} --weights {input.weights:q}"
        " --epochs {input.epochs:q} --predictions {output.predictions:q} > {log:q} 2>&1"


rule scores:
    input:
        dataset=expand(f"{RUN}/{{fold}}/dataset", fold=FOLDS),
        masks=expand(f"{RUN}/{{fold}}/protocol/masks.safetensors", fold=FOLDS),
        conflicts=expand(f"{RUN}/{{fold}}/protocol/conflicts.parquet", fold=FOLDS),
        unreliable=unreliable_files(),
        predictions=prediction_files(),
        simple=simple_files(),
        ceilings=ceiling_files(),
    output:
        scores=f"{RUN}/results/scores.parquet",
        comparisons=f"{RUN}/results/comparisons.parquet",
    log:
        f"{LOGS}/scores.log",
    benchmark:
        f"{COSTS}/scores.tsv"
    conda:
        "../envs/training.yaml"
    resources:
        mem_mb=memory(4000),
        runtime=60,
    params:
        **made_by("pipeline.scores", cfg=dict(report=CFG.report)),
    shell:
        "python -m pipeline.scores --params {params.cfg:q} --dataset {input.dataset:q}"
        " --masks {input.masks:q} --conflicts {input.conflicts:q} --unreliable {input.unreliable:q}"
        " --predictions {input.predictions:q} --simple {input.simple:q} --ceilings {input.ceilings:q} --scores {output.scores:q} --comparisons {output.comparisons:q}"
        " > {log:q} 2>&1"


rule tables:
    input:
        scores=f"{RUN}/results/scores.parquet",
        comparisons=f"{RUN}/results/comparisons.parquet",
        facts=f"{RUN}/facts.json",
        dataset=expand(f"{RUN}/{{fold}}/dataset", fold=FOLDS),
        masks=expand(f"{RUN}/{{fold}}/protocol/masks.safetensors", fold=FOLDS),
        manifest=f"{RUN}/manifest.parquet",
    output:
        made=touch(stamp(f"{RUN}/results/tables")),
        shown=shown(
            "tables",
            ["{name}.html"],
            "table",
            caption="captions/tables.rst",
            category="1. Tables",
        ),
    log:
        f"{LOGS}/tables.log",
    benchmark:
        f"{COSTS}/tables.tsv"
    conda:
        "../envs/results.yaml"
    resources:
        mem_mb=memory(2500),
        runtime=30,
    params:
        **made_by(
            "pipeline.tables",
            cfg=dict(
                report=CFG.report, run=CFG.run, generator=GENERATOR, learnt=learnt()
            ),
        ),
        folder=filled,
    shell:
        "python -m pipeline.tables --params {params.cfg:q} --scores {input.scores:q}"
        " --comparisons {input.comparisons:q} --facts {input.facts:q} --dataset {input.dataset:q} --masks {input.masks:q}"
        " --manifest {input.manifest:q} --folder {params.folder:q} --shown {output.shown:q} > {log:q} 2>&1"


rule figures:
    input:
        scores=f"{RUN}/results/scores.parquet",
        comparisons=f"{RUN}/results/comparisons.parquet",
        facts=f"{RUN}/facts.json",
    output:
        **figures_of(
            "protocol", category="2. Protocols", caption="captions/protocol.rst"
        ),
    log:
        f"{LOGS}/figures.log",
    benchmark:
        f"{COSTS}/figures.tsv"
    conda:
        "../envs/results.yaml"
    resources:
        mem_mb=memory(2500),
        runtime=30,
    params:
        **made_by("pipeline.figures", cfg=dict(report=CFG.report, learnt=learnt())),
        folder=filled,
    shell:
        "python -m pipeline.figures --params {params.cfg:q} --scores {input.scores:q}"
        " --comparisons {input.comparisons:q} --facts {input.facts:q} --folder {params.folder:q}"
        " --shown {output.shown:q} > {log:q} 2>&1"


# One table over several finished runs; those of other corpora are read as they are, and never remade here.
rule across:
    input:
        scores=[f"runs/{run}/results/scores.parquet" for run in [CFG.run, *CFG.beside]],
        comparisons=[
            f"runs/{run}/results/comparisons.parquet" for run in [CFG.run, *CFG.beside]
        ],
    output:
        made=touch(stamp(f"{RUN}/results/across")),
    log:
        f"{LOGS}/across.log",
    benchmark:
        f"{COSTS}/across.tsv"
    conda:
        "../envs/results.yaml"
    resources:
        mem_mb=memory(2500),
        runtime=30,
    params:
        **made_by("pipeline.across", cfg=dict(report=CFG.report)),
        folder=filled,
    shell:
        "python -m pipeline.across --params {params.cfg:q} --scores {input.scores:q}"
        " --comparisons {input.comparisons:q} --folder {params.folder:q} > {log:q} 2>&1"
