# Encoders, faces, features of the three modalities, and the joined dataset.


def feature_files():
    return expand(f"{RUN}/{{fold}}/dataset", fold=FOLDS)


if CFG.encoders.standins:

    rule standins:
        input:
            parts=expand(f"{RUN}/corpus/{{part}}", part=PARTS),
        output:
            text=directory(f"{RUN}/encoders/text"),
            audio=directory(f"{RUN}/encoders/audio"),
            visual=directory(f"{RUN}/encoders/visual"),
        params:
            code=code("pipeline.standins"),
            cfg=settings(standins=CFG.standins, seed=CFG.embedded.seed, **COMPUTE),
            tables=[f"{RUN}/corpus/{part}/utterances.parquet" for part in PARTS],
        log:
            f"{LOGS}/standins.log",
        benchmark:
            f"{COSTS}/standins.tsv"
        resources:
            gpu=GPU,
            mem_mb=4000,
            runtime=60,
        shell:
            "python -m pipeline.standins --params {params.cfg:q} --utterances {params.tables:q}"
            " --text {output.text:q} --audio {output.audio:q} --visual {output.visual:q}"
            " > {log:q} 2>&1"

else:

    localrules:
        weights,

    rule weights:
        output:
            folder=directory(f"{RUN}/encoders/{{modality}}"),
        params:
            code=code("pipeline.weights"),
            cfg=lambda wildcards: settings(
                weights=getattr(CFG.encoders, wildcards.modality).weights
            ),
        log:
            f"{LOGS}/weights/{{modality}}.log",
        shell:
            "python -m pipeline.weights --params {params.cfg:q} --folder {output.folder:q}"
            " > {log:q} 2>&1"


rule faces:
    input:
        shard=f"{RUN}/shards/{{shard}}.parquet",
    output:
        folder=directory(f"{RUN}/faces/{{shard}}"),
    params:
        code=code("pipeline.faces"),
        cfg=settings(faces=CFG.faces, **COMPUTE),
    log:
        f"{LOGS}/faces/{{shard}}.log",
    benchmark:
        f"{COSTS}/faces/{{shard}}.tsv"
    resources:
        gpu=GPU,
        mem_mb=4000,
        runtime=240,
    shell:
        "python -m pipeline.faces --params {params.cfg:q} --shard {input.shard:q}"
        " --folder {output.folder:q} > {log:q} 2>&1"


rule text:
    input:
        shard=f"{RUN}/shards/{{shard}}.parquet",
        encoder=f"{RUN}/encoders/text",
    output:
        features=f"{RUN}/features/text/{{shard}}.safetensors",
        index=f"{RUN}/features/text/{{shard}}.parquet",
    params:
        code=code("pipeline.text"),
        cfg=settings(encoder=CFG.encoders.text, **COMPUTE),
    log:
        f"{LOGS}/text/{{shard}}.log",
    benchmark:
        f"{COSTS}/text/{{shard}}.tsv"
    resources:
        gpu=GPU,
        mem_mb=4000,
        runtime=120,
    shell:
        "python -m pipeline.text --params {params.cfg:q} --shard {input.shard:q}"
        " --encoder {input.encoder:q} --features {output.features:q} --index {output.index:q}"
        " > {log:q} 2>&1"


rule audio:
    input:
        shard=f"{RUN}/shards/{{shard}}.parquet",
        encoder=f"{RUN}/encoders/audio",
    output:
        features=f"{RUN}/features/audio/{{shard}}.safetensors",
        index=f"{RUN}/features/audio/{{shard}}.parquet",
    params:
        code=code("pipeline.audio"),
        cfg=settings(encoder=CFG.encoders.audio, **COMPUTE),
    log:
        f"{LOGS}/audio/{{shard}}.log",
    benchmark:
        f"{COSTS}/audio/{{shard}}.tsv"
    resources:
        gpu=GPU,
        mem_mb=4000,
        runtime=240,
    shell:
        "python -m pipeline.audio --params {params.cfg:q} --shard {input.shard:q}"
        " --encoder {input.encoder:q} --features {output.features:q} --index {output.index:q}"
        " > {log:q} 2>&1"


rule visual:
    input:
        shard=f"{RUN}/shards/{{shard}}.parquet",
        faces=f"{RUN}/faces/{{shard}}",
        encoder=f"{RUN}/encoders/visual",
    output:
        features=f"{RUN}/features/visual/{{shard}}.safetensors",
        index=f"{RUN}/features/visual/{{shard}}.parquet",
    params:
        code=code("pipeline.visual"),
        cfg=settings(encoder=CFG.encoders.visual, **COMPUTE),
    log:
        f"{LOGS}/visual/{{shard}}.log",
    benchmark:
        f"{COSTS}/visual/{{shard}}.tsv"
    resources:
        gpu=GPU,
        mem_mb=4000,
        runtime=120,
    shell:
        "python -m pipeline.visual --params {params.cfg:q} --shard {input.shard:q}"
        " --faces {input.faces:q} --encoder {input.encoder:q} --features {output.features:q}"
        " --index {output.index:q} > {log:q} 2>&1"


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
    params:
        code=code("pipeline.dataset"),
        cfg=settings(),
    log:
        f"{LOGS}/dataset/{{fold}}.log",
    benchmark:
        f"{COSTS}/dataset/{{fold}}.tsv"
    resources:
        mem_mb=4000,
        runtime=30,
    shell:
        "python -m pipeline.dataset --params {params.cfg:q} --manifest {input.manifest:q}"
        " --facts {input.facts:q} --splits {input.splits:q} --text {input.text:q}"
        " --audio {input.audio:q} --visual {input.visual:q} --folder {output.folder:q} > {log:q} 2>&1"
