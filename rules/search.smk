# The search for a variant's settings: one GPU job a variant, on the validation split alone.


from models.terms import may_read_references
from pipeline.settings.search import networks_tried


def search_files(wildcards):
    """Asked for only by the target; a run without a space has nothing to search."""
    if not CFG.search.spaces:
        stop(
            "config, key 'search.spaces': it names no variant, so there is nothing to search. Use an overlay "
            "that has a space, such as config/reported.yaml, or write one."
        )
    return expand(
        f"{RUN}/{{fold}}/search/{{variant}}.json",
        fold=FOLDS,
        variant=list(CFG.search.spaces),
    )


def reference_kinds(variant):
    """The kinds of references that a trial of this variant may read."""
    present, space = CFG.objective_of(variant), CFG.search.spaces[variant]
    tried = space.get("objective.references", [present.references])
    searched = [key.removeprefix("objective.") for key in space]
    if not may_read_references(present, searched):
        return []
    return sorted({present.references, *tried})


def networks_searched(wildcards):
    """The networks that a trial of this variant may train."""
    return networks_tried(
        CFG.network.name,
        CFG.objective_of(wildcards.variant),
        # a variant without a space has no job, and still has to name its networks
        CFG.search.spaces.get(wildcards.variant, {}),
    )


def search_inputs(wildcards):
    folder, variant = f"{RUN}/{wildcards.fold}", wildcards.variant
    starts = CFG.search.spaces[variant].get("objective.initialisation", [])
    start = "teacher" in (CFG.objective_of(variant).initialisation, *starts)
    return dict(
        references=[
            references_of(wildcards.fold, kind, seed)
            for kind in reference_kinds(variant)
            for seed in CFG.search.seeds
        ],
        teacher=[
            f"{folder}/teacher/{seed}/weights.safetensors"
            for seed in CFG.search.seeds
            if start
        ],
    )


rule search:
    input:
        unpack(search_inputs),
        dataset=f"{RUN}/{{fold}}/dataset",
        masks=f"{RUN}/{{fold}}/protocol/masks.safetensors",
    output:
        trials=f"{RUN}/{{fold}}/search/{{variant}}.parquet",
        best=f"{RUN}/{{fold}}/search/{{variant}}.json",
    log:
        f"{LOGS}/search/{{fold}}-{{variant}}.log",
    benchmark:
        f"{COSTS}/search/{{fold}}-{{variant}}.tsv"
    conda:
        "../envs/search.yaml"
    threads: CFG.threads
    resources:
        gpu=GPU,
        mem_mb=memory(4000),
        runtime=720,
    params:
        **made_by(
            "pipeline.search",
            networks=networks_searched,
            cfg=lambda wildcards: dict(
                network=CFG.network.read_by(*networks_searched(wildcards)),
                training=CFG.training,
                objective=CFG.objective_of(wildcards.variant),
                # a variant without a space has no job, and still has to name its keys
                space=CFG.search.spaces.get(wildcards.variant, {}),
                trials=CFG.search.trials,
                random=CFG.search.random,
                seeds=CFG.search.seeds,
                seed=CFG.search.seed,
                **COMPUTE,
            ),
        ),
    shell:
        "python -m pipeline.search --params {params.cfg:q} --dataset {input.dataset:q}"
        " --masks {input.masks:q} --references {input.references:q} --teacher {input.teacher:q}"
        " --trials {output.trials:q} --best {output.best:q} > {log:q} 2>&1"
