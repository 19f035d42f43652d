# Figures and pages of the report, beside the tables and the protocols' figures.

ANSWERS = dict(
    dataset=expand(f"{RUN}/{{fold}}/dataset", fold=FOLDS),
    conflicts=expand(f"{RUN}/{{fold}}/protocol/conflicts.parquet", fold=FOLDS),
    predictions=prediction_files(),
)


def report_files():
    families = ("confusion", "reliability", "training", "states", "corpus")
    figures = [stamp(f"{RUN}/results/figures/{family}") for family in families]
    return [*figures, f"{RUN}/results/explorer.html", stamp(f"{RUN}/results/costs")]


def history_files():
    students = expand(
        f"{RUN}/{{fold}}/student/{{variant}}/{{seed}}/history.parquet",
        variant=VARIANTS,
        fold=FOLDS,
        seed=SEEDS,
    )
    teachers = expand(
        f"{RUN}/{{fold}}/teacher/{{seed}}/history.parquet", fold=FOLDS, seed=SEEDS
    )
    return [*teachers, *students]


rule confusion:
    input:
        **ANSWERS,
    output:
        **figures_of(
            "confusion", category="3. Confusion", caption="captions/confusion.rst"
        ),
    log:
        f"{LOGS}/confusion.log",
    benchmark:
        f"{COSTS}/confusion.tsv"
    priority: 1  # the longest of the pages: begun first, it is not waited for at the end
    conda:
        "../envs/results.yaml"
    resources:
        mem_mb=memory(2500),
        runtime=60,
    params:
        **made_by("pipeline.confusion"),
        folder=filled,
    shell:
        "python -m pipeline.confusion --params {params.cfg:q} --dataset {input.dataset:q}"
        " --conflicts {input.conflicts:q} --predictions {input.predictions:q}"
        " --folder {params.folder:q} --shown {output.shown:q} > {log:q} 2>&1"


rule reliability:
    input:
        **ANSWERS,
    output:
        **figures_of(
            "reliability",
            category="4. Calibration",
            caption="captions/reliability.rst",
        ),
    log:
        f"{LOGS}/reliability.log",
    benchmark:
        f"{COSTS}/reliability.tsv"
    conda:
        "../envs/results.yaml"
    resources:
        mem_mb=memory(2500),
        runtime=60,
    params:
        **made_by("pipeline.reliability"),
        folder=filled,
    shell:
        "python -m pipeline.reliability --params {params.cfg:q} --dataset {input.dataset:q}"
        " --conflicts {input.conflicts:q} --predictions {input.predictions:q}"
        " --folder {params.folder:q} --shown {output.shown:q} > {log:q} 2>&1"


rule curves:
    input:
        histories=history_files(),
    output:
        **figures_of(
            "training", category="5. Training", caption="captions/training.rst"
        ),
    log:
        f"{LOGS}/curves.log",
    benchmark:
        f"{COSTS}/curves.tsv"
    conda:
        "../envs/results.yaml"
    resources:
        mem_mb=memory(2500),
        runtime=30,
    params:
        **made_by("pipeline.curves"),
        folder=filled,
    shell:
        "python -m pipeline.curves --params {params.cfg:q} --histories {input.histories:q}"
        " --folder {params.folder:q} --shown {output.shown:q} > {log:q} 2>&1"


rule states:
    input:
        dataset=f"{RUN}/{{fold}}/dataset",
        masks=f"{RUN}/{{fold}}/protocol/masks.safetensors",
        teacher=f"{RUN}/{{fold}}/teacher/{{seed}}/weights.safetensors",
        students=[
            f"{RUN}/{{fold}}/student/{variant}/{{seed}}/weights.safetensors"
            for variant in VARIANTS
        ],
        trust=lambda wildcards: trust_for(
            wildcards.fold, [network_named(wildcards.fold, name) for name in VARIANTS]
        ),
    output:
        states=f"{RUN}/{{fold}}/states/{{seed}}.parquet",
        facts=f"{RUN}/{{fold}}/states/{{seed}}.json",
    log:
        f"{LOGS}/states/{{fold}}-{{seed}}.log",
    benchmark:
        f"{COSTS}/states/{{fold}}-{{seed}}.tsv"
    conda:
        "../envs/training.yaml"
    threads: CFG.threads
    resources:
        gpu=GPU,
        mem_mb=memory(4000),
        runtime=30,
    params:
        **made_by(
            "pipeline.states",
            networks=lambda wildcards: [
                network_named(wildcards.fold, variant)
                for variant in ("teacher", *VARIANTS)
            ],
            cfg=COMPUTE,
        ),
    shell:
        "python -m pipeline.states --params {params.cfg:q} --dataset {input.dataset:q}"
        " --masks {input.masks:q} --teacher {input.teacher:q} --students {input.students:q} --trust {input.trust:q}"
        " --states {output.states:q} --facts {output.facts:q} > {log:q} 2>&1"


# of the first fold and seed: a plane of one network's states
rule projection:
    input:
        dataset=f"{RUN}/{FOLDS[0]}/dataset",
        states=f"{RUN}/{FOLDS[0]}/states/{SEEDS[0]}.parquet",
        facts=f"{RUN}/{FOLDS[0]}/states/{SEEDS[0]}.json",
    output:
        **figures_of("states", category="6. States", caption="captions/states.rst"),
    log:
        f"{LOGS}/projection.log",
    benchmark:
        f"{COSTS}/projection.tsv"
    conda:
        "../envs/results.yaml"
    resources:
        mem_mb=memory(2500),
        runtime=30,
    params:
        **made_by("pipeline.projection"),
        folder=filled,
    shell:
        "python -m pipeline.projection --params {params.cfg:q} --dataset {input.dataset:q}"
        " --states {input.states:q} --facts {input.facts:q} --folder {params.folder:q} --shown {output.shown:q}"
        " > {log:q} 2>&1"


rule inventory:
    input:
        manifest=f"{RUN}/manifest.parquet",
        dataset=expand(f"{RUN}/{{fold}}/dataset", fold=FOLDS),
    output:
        **figures_of("corpus", category="7. Corpus", caption="captions/corpus.rst"),
    log:
        f"{LOGS}/inventory.log",
    benchmark:
        f"{COSTS}/inventory.tsv"
    conda:
        "../envs/results.yaml"
    resources:
        mem_mb=memory(2500),
        runtime=30,
    params:
        **made_by("pipeline.inventory"),
        folder=filled,
    shell:
        "python -m pipeline.inventory --params {params.cfg:q} --manifest {input.manifest:q}"
        " --dataset {input.dataset:q} --folder {params.folder:q} --shown {output.shown:q} > {log:q} 2>&1"


rule explorer:
    input:
        **ANSWERS,
        masks=expand(f"{RUN}/{{fold}}/protocol/masks.safetensors", fold=FOLDS),
        unreliable=unreliable_files(),
        examples=example_files(),
        manifest=f"{RUN}/manifest.parquet",
        heard=(
            expand(f"{RUN}/recognised/{{shard}}.parquet", shard=SHARDS)
            if SPOKEN == "recognised"
            else []
        ),
        template=of_clone("pipeline/reporting/explorer.html"),
    output:
        page=report(
            f"{RUN}/results/explorer.html",
            caption="captions/explorer.rst",
            category="9. Utterances",
            labels={"page": "explorer"},
        ),
    log:
        f"{LOGS}/explorer.log",
    benchmark:
        f"{COSTS}/explorer.tsv"
    conda:
        "../envs/results.yaml"
    resources:
        mem_mb=memory(3500),
        runtime=30,
    params:
        **made_by(
            "pipeline.explorer", cfg=dict(run=CFG.run, reference=CFG.report.reference)
        ),
    shell:
        "python -m pipeline.explorer --params {params.cfg:q} --dataset {input.dataset:q}"
        " --masks {input.masks:q} --conflicts {input.conflicts:q} --unreliable {input.unreliable:q}"
        " --examples {input.examples:q} --predictions {input.predictions:q} --manifest {input.manifest:q}"
        " --heard {input.heard:q} --template {input.template:q} --page {output.page:q}"
        " > {log:q} 2>&1"


# Last of all: the benchmark files that are there when everything else is.
rule costs:
    input:
        results_files(),
        [name for name in report_files() if name != stamp(f"{RUN}/results/costs")],
    output:
        made=touch(stamp(f"{RUN}/results/costs")),
        shown=shown(
            "costs",
            ["{name}.svg", "{name}.html"],
            "what",
            caption="captions/costs.rst",
            category="8. Costs",
        ),
    log:
        f"{LOGS}/costs.log",
    benchmark:
        f"{COSTS}/costs.tsv"
    conda:
        "../envs/results.yaml"
    resources:
        mem_mb=memory(2500),
        runtime=30,
    params:
        **made_by("pipeline.costs", cfg=dict(run=CFG.run)),
        folder=filled,
        benchmarks=COSTS,
    shell:
        "python -m pipeline.costs --params {params.cfg:q} --benchmarks {params.benchmarks:q}"
        " --folder {params.folder:q} --shown {output.shown:q} > {log:q} 2>&1"
