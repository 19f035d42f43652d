# Features of the three modalities, extracted or given, and the joined dataset.


def feature_files():
    return expand(
        f"{RUN}/features/{{modality}}/{{shard}}.safetensors",
        modality=MODALITIES,
        shard=SHARDS,
    )


def encoder_files():
    """None where features are given."""
    if CORPUS.given:
        return []
    return expand(f"{RUN}/encoders/{{modality}}", modality=MODALITIES)


if CORPUS.given:

    # arrays that were extracted elsewhere take the place of media, faces and encoders
    rule given:
        input:
            shard=f"{RUN}/shards/{{shard}}.parquet",
            index=given_files("index"),
            arrays=lambda wildcards: given_files(wildcards.modality),
        output:
            features=f"{RUN}/features/{{modality}}/{{shard}}.safetensors",
            index=f"{RUN}/features/{{modality}}/{{shard}}.parquet",
        log:
            f"{LOGS}/given/{{modality}}-{{shard}}.log",
        benchmark:
            f"{COSTS}/given/{{modality}}-{{shard}}.tsv"
        conda:
            "../envs/corpora.yaml"
        resources:
            mem_mb=memory(4000),
            runtime=30,
        params:
            **made_by(
                "pipeline.given",
                cfg=lambda wildcards: dict(
                    folder=CFG.corpus.folder, modality=wildcards.modality
                ),
            ),
        shell:
            "python -m pipeline.given --params {params.cfg:q} --shard {input.shard:q}"
            " --features {output.features:q} --index {output.index:q} > {log:q} 2>&1"

else:

    include: "encoders.smk"
    include: "extraction.smk"


include: "unreliable.smk"


rule dataset:
    input:
        manifest=f"{RUN}/manifest.parquet",
        facts=f"{RUN}/facts.json",
        splits=f"{RUN}/{{fold}}/splits.parquet",
        text=expand(f"{RUN}/features/text/{{shard}}.safetensors", shard=SHARDS),
        audio=expand(f"{RUN}/features/audio/{{shard}}.safetensors", shard=SHARDS),
        visual=expand(f"{RUN}/features/visual/{{shard}}.safetensors", shard=SHARDS),
    output:
        folder=directory(f"{RUN}/{{fold}}/dataset"),
    log:
        f"{LOGS}/dataset/{{fold}}.log",
    benchmark:
        f"{COSTS}/dataset/{{fold}}.tsv"
    conda:
        "../envs/training.yaml"
    resources:
        mem_mb=memory(4000),
        runtime=30,
    params:
        **made_by(
            "pipeline.dataset",
            cfg=dict(whiten=CFG.dataset.whiten, shrinkage=CFG.dataset.shrinkage),
        ),
    shell:
        "python -m pipeline.dataset --params {params.cfg:q} --manifest {input.manifest:q}"
        " --facts {input.facts:q} --splits {input.splits:q} --text {input.text:q}"
        " --audio {input.audio:q} --visual {input.visual:q} --folder {output.folder:q} > {log:q} 2>&1"
