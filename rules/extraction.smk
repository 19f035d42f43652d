# From raw media to the features of each modality, a shard a job.

from pipeline.core.registries import choices, detectors, encoders


def loaders(modality):
    """The modules that may load the encoder; all stand-ins are models of the transformers library."""
    if CFG.encoders.standins:
        return [encoders.ENCODERS[modality]]
    return encoders.modules(modality)


if "recognised" in (CFG.corpus.text, *WORD_SOURCES):

    rule recognised:
        input:
            shard=f"{RUN}/shards/{{shard}}.parquet",
            recogniser=f"{RUN}/recogniser",
            splits=(
                expand(f"{RUN}/{{fold}}/splits.parquet", fold=FOLDS)
                if HEARD == "heard"
                else []
            ),
        output:
            told=f"{RUN}/{HEARD}/{{shard}}.parquet",
        log:
            f"{LOGS}/recognised/{{shard}}.log",
        benchmark:
            f"{COSTS}/recognised/{{shard}}.tsv"
        conda:
            "../envs/annotate.yaml"
        threads: CFG.threads
        resources:
            gpu=GPU,
            mem_mb=memory(3000),
            runtime=480,
        params:
            **made_by(
                "pipeline.recognised",
                cfg=dict(
                    decoding=CFG.recognition.decoding, media=CFG.media, **COMPUTE
                ),
            ),
        shell:
            "python -m pipeline.recognised --params {params.cfg:q} --shard {input.shard:q}"
            " --recogniser {input.recogniser:q} --splits {input.splits:q} --told {output.told:q} > {log:q} 2>&1"


# whether the visual encoder is asked who is who on both sides of a cut; what this project renders has no cut
WHO = (
    [f"{RUN}/encoders/visual"]
    if not CORPUS.generated
    and (
        CFG.faces.link == "encoder"
        or CFG.faces.link == "auto"
        and CFG.encoders.visual.weights.name in encoders.KNOW_PEOPLE
    )
    else []
)
FACES_GROUP = "encoders" if WHO or CHOOSER else "faces"


if CHOOSER:

    rule chooser:
        output:
            folder=directory(f"{RUN}/chooser"),
        log:
            f"{LOGS}/chooser.log",
        benchmark:
            f"{COSTS}/chooser.tsv"
        localrule: True
        conda:
            "../envs/encoders.yaml"
        params:
            **made_by(
                "pipeline.weights",
                cfg=dict(weights=CFG.chooser.weights, kind="chooser"),
            ),
            files=lambda wildcards: placed_files(CFG.chooser.weights),
        shell:
            "python -m pipeline.weights --params {params.cfg:q} --folder {output.folder:q}"
            " > {log:q} 2>&1"


rule faces:
    input:
        shard=f"{RUN}/shards/{{shard}}.parquet",
        encoder=WHO,
        chooser=CHOOSER,
    output:
        folder=directory(f"{RUN}/faces/{{shard}}"),
    log:
        f"{LOGS}/faces/{{shard}}.log",
    benchmark:
        f"{COSTS}/faces/{{shard}}.tsv"
    conda:
        f"../envs/{FACES_GROUP}.yaml"
    threads: SIDE_BY_SIDE
    resources:
        gpu=GPU,
        mem_mb=memory(3500 + (1300 if CHOOSER else 500) * CFG.workers),
        runtime=240,
    params:
        **made_by(
            "pipeline.faces",
            detectors.DETECTORS[CFG.faces.detector],
            *(
                [choices.CHOICES[CFG.faces.choice]]
                if CFG.faces.choice in choices.CHOICES
                else []
            ),
            *(loaders("visual") if WHO else []),
            cfg=dict(faces=CFG.faces, media=CFG.media, **COMPUTE),
            group=FACES_GROUP,
        ),
        encoder=[part for folder in WHO for part in ("--encoder", folder)],
        chooser=[part for folder in CHOOSER for part in ("--chooser", folder)],
    shell:
        "python -m pipeline.faces --params {params.cfg:q} --cores {threads} --shard {input.shard:q}"
        " {params.encoder:q} {params.chooser:q} --folder {output.folder:q} > {log:q} 2>&1"


rule text:
    input:
        shard=f"{RUN}/{SPOKEN}/{{shard}}.parquet",
        encoder=f"{RUN}/encoders/text",
    output:
        features=f"{RUN}/features/text/{{shard}}.safetensors",
        index=f"{RUN}/features/text/{{shard}}.parquet",
    log:
        f"{LOGS}/text/{{shard}}.log",
    benchmark:
        f"{COSTS}/text/{{shard}}.tsv"
    conda:
        "../envs/encoders.yaml"
    threads: CFG.threads
    resources:
        gpu=GPU,
        mem_mb=memory(4000),
        runtime=120,
    params:
        **made_by(
            "pipeline.text",
            *loaders("text"),
            cfg=dict(
                encoder=CFG.encoders.text, precision=PRECISION, **UNSURE, **COMPUTE
            ),
            unread=["encoder.weights"],
        ),
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
    log:
        f"{LOGS}/audio/{{shard}}.log",
    benchmark:
        f"{COSTS}/audio/{{shard}}.tsv"
    conda:
        "../envs/encoders.yaml"
    threads: SIDE_BY_SIDE
    resources:
        gpu=GPU,
        mem_mb=memory(3500 + 500 * CFG.workers),
        runtime=240,
    params:
        **made_by(
            "pipeline.audio",
            *loaders("audio"),
            cfg=dict(
                encoder=CFG.encoders.audio,
                media=CFG.media,
                precision=PRECISION,
                **COMPUTE,
            ),
            unread=["encoder.weights"],
        ),
    shell:
        "python -m pipeline.audio --params {params.cfg:q} --cores {threads} --shard {input.shard:q}"
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
    log:
        f"{LOGS}/visual/{{shard}}.log",
    benchmark:
        f"{COSTS}/visual/{{shard}}.tsv"
    conda:
        "../envs/encoders.yaml"
    threads: CFG.threads
    resources:
        gpu=GPU,
        mem_mb=memory(4000),
        runtime=120,
    params:
        **made_by(
            "pipeline.visual",
            *loaders("visual"),
            cfg=dict(encoder=CFG.encoders.visual, precision=PRECISION, **COMPUTE),
            unread=["encoder.weights"],
        ),
    shell:
        "python -m pipeline.visual --params {params.cfg:q} --shard {input.shard:q}"
        " --faces {input.faces:q} --encoder {input.encoder:q} --features {output.features:q}"
        " --index {output.index:q} > {log:q} 2>&1"


# how reliable what was extracted looks; asked for by variants whose network reads it, alone
rule gauges:
    input:
        shard=f"{RUN}/{SPOKEN}/{{shard}}.parquet",
        faces=f"{RUN}/faces/{{shard}}",
    output:
        gauges=f"{RUN}/features/gauges/{{shard}}.parquet",
    log:
        f"{LOGS}/gauges/{{shard}}.log",
    benchmark:
        f"{COSTS}/gauges/{{shard}}.tsv"
    conda:
        "../envs/encoders.yaml"
    resources:
        mem_mb=memory(3000),
        runtime=120,
    params:
        **made_by(
            "pipeline.gauges",
            cfg=dict(encoder=CFG.encoders.audio, media=CFG.media, **UNSURE),
            unread=["encoder.weights"],
        ),
    shell:
        "python -m pipeline.gauges --params {params.cfg:q} --shard {input.shard:q}"
        " --faces {input.faces:q} --gauges {output.gauges:q} > {log:q} 2>&1"
