# The search for a variant's settings: one GPU job a fold and variant, on the validation split alone; and what was found.


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


def reference_kinds(wildcards):
    """The kinds of references that a trial of this variant may read."""
    present = of_fold(wildcards.fold).objective_of(wildcards.variant)
    space = CFG.search.spaces[wildcards.variant]
    tried = space.get("objective.references", [present.references])
    searched = [key.removeprefix("objective.") for key in space]
    if not may_read_references(present, searched):
        return []
    return sorted({present.references, *tried})


def networks_searched(wildcards):
    """The networks that a trial of this variant may train."""
    own = of_fold(wildcards.fold)
    return networks_tried(
        own.network.name,
        own.objective_of(wildcards.variant),
        # a variant without a space has no job, and still has to name its networks
        CFG.search.spaces.get(wildcards.variant, {}),
    )


def search_inputs(wildcards):
    folder, variant = f"{RUN}/{wildcards.fold}", wildcards.variant
    starts = CFG.search.spaces[variant].get("objective.initialisation", [])
    present = of_fold(wildcards.fold).objective_of(variant).initialisation
    start = "teacher" in (present, *starts)
    return dict(
        references=[
            references_of(wildcards.fold, kind, seed)
            for kind in reference_kinds(wildcards)
            for seed in CFG.search.seeds
        ],
        teacher=[
            f"{folder}/teacher/{seed}/weights.safetensors"
            for seed in CFG.search.seeds
            if start
        ],
        names=names_for(wildcards.fold, networks_searched(wildcards)),
        trust=trust_for(wildcards.fold, networks_searched(wildcards)),
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
                network=of_fold(wildcards.fold).network.read_by(
                    *networks_searched(wildcards)
                ),
                training=of_fold(wildcards.fold).training,
                objective=of_fold(wildcards.fold).objective_of(wildcards.variant),
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
        " --names {input.names:q} --trust {input.trust:q}"
        " --trials {output.trials:q} --best {output.best:q} > {log:q} 2>&1"


# what was found, as an overlay; nothing reads it unless a person lays it over the configuration
rule tuned:
    input:
        searches=search_files,
    output:
        overlay=f"{RUN}/tuned.yaml",
    log:
        f"{LOGS}/tuned.log",
    benchmark:
        f"{COSTS}/tuned.tsv"
    conda:
        "../envs/search.yaml"
    resources:
        mem_mb=memory(2000),
        runtime=30,
    params:
        **made_by("pipeline.tuned", cfg=dict(run=CFG.run)),
    shell:
        "python -m pipeline.tuned --params {params.cfg:q} --searches {input.searches:q}"
        " --overlay {output.overlay:q} > {log:q} 2>&1"
