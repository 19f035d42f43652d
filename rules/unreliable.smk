# P5: the media of test utterances, degraded before the encoders; and the words of other sources, which are read
# in the same way. Nothing of it is planned unless it is asked for.

from pipeline.core.registries.degradations import DEGRADATIONS
from pipeline.core.registries.degradations import HEARD as HEARD_KIND

UNRELIABLE = CFG.unreliable
# the modalities that any kind degrades
DEGRADED = [
    name
    for name in MODALITIES
    if any(DEGRADATIONS[kind].modality == name for kind in UNRELIABLE.kinds)
]


def degraded_files(modality):
    """The features of a modality under all its conditions, shard by shard."""
    if modality not in DEGRADED:
        return []
    return expand(
        f"{RUN}/features/degraded/{modality}/{{shard}}.safetensors", shard=SHARDS
    )


def unreliable_of(fold):
    """What the protocol of a fold reads of degraded media and of other words: nothing unless it is asked for."""
    asked = DEGRADED or WORD_SOURCES
    return [f"{RUN}/{fold}/protocol/unreliable.safetensors"] if asked else []


def unreliable_files():
    return [path for fold in FOLDS for path in unreliable_of(fold)]


def example_files():
    """The degraded media that the explorer plays and shows."""
    asked = DEGRADED and UNRELIABLE.examples
    return [f"{RUN}/results/examples.json"] if asked else []


def of_modality(name):
    """The section `unreliable` as a modality reads it: its own kinds, and the levels of others as they are
    by default, for an edit of those is no reason to rerun it."""
    own = [kind for kind in UNRELIABLE.kinds if DEGRADATIONS[kind].modality == name]
    scales = {DEGRADATIONS[kind].scale for kind in own}
    return dict(
        kinds=own,
        seed=UNRELIABLE.seed,
        **{scale: getattr(UNRELIABLE, scale) for scale in sorted(scales)},
    )


TESTED = expand(f"{RUN}/{{fold}}/splits.parquet", fold=FOLDS)

if WORD_SOURCES:

    rule word_sources:
        input:
            shard=f"{RUN}/shards/{{shard}}.parquet",
            heard=(
                [f"{RUN}/{HEARD}/{{shard}}.parquet"]
                if "recognised" in (CFG.corpus.text, *WORD_SOURCES)
                else []
            ),
            splits=TESTED,
            encoder=f"{RUN}/encoders/text",
        output:
            features=f"{RUN}/features/words/{{shard}}.safetensors",
            index=f"{RUN}/features/words/{{shard}}.parquet",
        log:
            f"{LOGS}/word_sources/{{shard}}.log",
        benchmark:
            f"{COSTS}/word_sources/{{shard}}.tsv"
        conda:
            "../envs/encoders.yaml"
        threads: CFG.threads
        resources:
            gpu=GPU,
            mem_mb=memory(4000),
            runtime=120,
        params:
            **made_by(
                "pipeline.word_sources",
                *loaders("text"),
                cfg=dict(
                    encoder=CFG.encoders.text,
                    words=WORD_SOURCES,
                    unreliable=(
                        dict(seed=UNRELIABLE.seed, errors=UNRELIABLE.errors)
                        if "misheard" in WORD_SOURCES
                        else {}
                    ),
                    unsure=CFG.recognition.sentences.unsure,
                    text=CFG.corpus.text,
                    precision=PRECISION,
                    **COMPUTE,
                ),
                unread=["encoder.weights"],
            ),
        shell:
            "python -m pipeline.word_sources --params {params.cfg:q} --shard {input.shard:q}"
            " --heard {input.heard:q} --splits {input.splits:q} --encoder {input.encoder:q}"
            " --features {output.features:q} --index {output.index:q} > {log:q} 2>&1"


if DEGRADED:

    def shard_beside(wildcards, kinds=UNRELIABLE.kinds):
        """Another shard, whose voices babble where this one has a single dialogue."""
        other = (int(wildcards.shard) + 1) % len(SHARDS)
        asked = "babble" in kinds and len(SHARDS) > 1
        return [f"{RUN}/shards/{other}.parquet"] if asked else []

    if HEARD_KIND in UNRELIABLE.kinds:

        rule degraded_words:
            input:
                shard=f"{RUN}/shards/{{shard}}.parquet",
                beside=lambda wildcards: shard_beside(
                    wildcards, kinds=[UNRELIABLE.heard_in]
                ),
                splits=TESTED,
                recogniser=f"{RUN}/recogniser",
            output:
                told=f"{RUN}/features/degraded/words/{{shard}}.parquet",
            log:
                f"{LOGS}/degraded_words/{{shard}}.log",
            benchmark:
                f"{COSTS}/degraded_words/{{shard}}.tsv"
            conda:
                "../envs/annotate.yaml"
            threads: CFG.threads
            resources:
                gpu=GPU,
                mem_mb=memory(4000),
                runtime=480,
            params:
                **made_by(
                    "pipeline.degraded_words",
                    cfg=dict(
                        decoding=CFG.recognition.decoding,
                        media=CFG.media,
                        unreliable=dict(
                            kinds=[HEARD_KIND],
                            seed=UNRELIABLE.seed,
                            heard=UNRELIABLE.heard,
                            heard_in=UNRELIABLE.heard_in,
                        ),
                        **COMPUTE,
                    ),
                ),
            shell:
                "python -m pipeline.degraded_words --params {params.cfg:q} --shard {input.shard:q}"
                " --beside {input.beside:q} --splits {input.splits:q} --recogniser {input.recogniser:q}"
                " --told {output.told:q} > {log:q} 2>&1"

    rule degraded_text:
        input:
            shard=f"{RUN}/{SPOKEN}/{{shard}}.parquet",
            words=(
                f"{RUN}/features/degraded/words/{{shard}}.parquet"
                if HEARD_KIND in UNRELIABLE.kinds
                else []
            ),
            splits=TESTED,
            encoder=f"{RUN}/encoders/text",
        output:
            features=f"{RUN}/features/degraded/text/{{shard}}.safetensors",
            index=f"{RUN}/features/degraded/text/{{shard}}.parquet",
        log:
            f"{LOGS}/degraded_text/{{shard}}.log",
        benchmark:
            f"{COSTS}/degraded_text/{{shard}}.tsv"
        conda:
            "../envs/encoders.yaml"
        threads: CFG.threads
        resources:
            gpu=GPU,
            mem_mb=memory(4000),
            runtime=120,
        params:
            **made_by(
                "pipeline.degraded_text",
                *loaders("text"),
                cfg=dict(
                    encoder=CFG.encoders.text,
                    unreliable=of_modality("text"),
                    precision=PRECISION,
                    **UNSURE,
                    **COMPUTE,
                ),
                unread=["encoder.weights"],
            ),
        shell:
            "python -m pipeline.degraded_text --params {params.cfg:q} --shard {input.shard:q}"
            " --words {input.words:q} --splits {input.splits:q} --encoder {input.encoder:q} --features {output.features:q}"
            " --index {output.index:q} > {log:q} 2>&1"

    rule degraded_audio:
        input:
            shard=f"{RUN}/shards/{{shard}}.parquet",
            beside=shard_beside,
            splits=TESTED,
            encoder=f"{RUN}/encoders/audio",
        output:
            features=f"{RUN}/features/degraded/audio/{{shard}}.safetensors",
            index=f"{RUN}/features/degraded/audio/{{shard}}.parquet",
        log:
            f"{LOGS}/degraded_audio/{{shard}}.log",
        benchmark:
            f"{COSTS}/degraded_audio/{{shard}}.tsv"
        conda:
            "../envs/encoders.yaml"
        threads: SIDE_BY_SIDE
        resources:
            gpu=GPU,
            mem_mb=memory(6000 + 500 * (CFG.workers - 1)),
            runtime=480,
        params:
            **made_by(
                "pipeline.degraded_audio",
                *loaders("audio"),
                cfg=dict(
                    encoder=CFG.encoders.audio,
                    media=CFG.media,
                    unreliable=of_modality("audio"),
                    precision=PRECISION,
                    **COMPUTE,
                ),
                unread=["encoder.weights"],
            ),
        shell:
            "python -m pipeline.degraded_audio --params {params.cfg:q} --cores {threads} --shard {input.shard:q} --beside {input.beside:q}"
            " --splits {input.splits:q} --encoder {input.encoder:q} --features {output.features:q}"
            " --index {output.index:q} > {log:q} 2>&1"

    rule degraded_visual:
        input:
            shard=f"{RUN}/shards/{{shard}}.parquet",
            splits=TESTED,
            faces=f"{RUN}/faces/{{shard}}",
            encoder=f"{RUN}/encoders/visual",
        output:
            features=f"{RUN}/features/degraded/visual/{{shard}}.safetensors",
            index=f"{RUN}/features/degraded/visual/{{shard}}.parquet",
        log:
            f"{LOGS}/degraded_visual/{{shard}}.log",
        benchmark:
            f"{COSTS}/degraded_visual/{{shard}}.tsv"
        conda:
            "../envs/encoders.yaml"
        threads: CFG.threads
        resources:
            gpu=GPU,
            mem_mb=memory(4000),
            runtime=240,
        params:
            **made_by(
                "pipeline.degraded_visual",
                *loaders("visual"),
                cfg=dict(
                    encoder=CFG.encoders.visual,
                    unreliable=of_modality("visual"),
                    precision=PRECISION,
                    **COMPUTE,
                ),
                unread=["encoder.weights"],
            ),
        shell:
            "python -m pipeline.degraded_visual --params {params.cfg:q} --shard {input.shard:q}"
            " --splits {input.splits:q} --faces {input.faces:q} --encoder {input.encoder:q}"
            " --features {output.features:q} --index {output.index:q} > {log:q} 2>&1"

    if UNRELIABLE.examples:

        rule examples:
            input:
                shard=expand(f"{RUN}/shards/{{shard}}.parquet", shard=SHARDS),
                spoken=expand(f"{RUN}/{SPOKEN}/{{shard}}.parquet", shard=SHARDS),
                words=expand(
                    f"{RUN}/features/degraded/words/{{shard}}.parquet",
                    shard=SHARDS if HEARD_KIND in UNRELIABLE.kinds else [],
                ),
                faces=expand(
                    f"{RUN}/faces/{{shard}}",
                    shard=SHARDS if "visual" in DEGRADED else [],
                ),
                splits=TESTED,
            output:
                examples=f"{RUN}/results/examples.json",
            log:
                f"{LOGS}/examples.log",
            benchmark:
                f"{COSTS}/examples.tsv"
            conda:
                "../envs/encoders.yaml"
            resources:
                mem_mb=memory(3000),
                runtime=60,
            params:
                **made_by(
                    "pipeline.examples",
                    cfg=dict(
                        encoder=CFG.encoders.audio,
                        media=CFG.media,
                        unreliable=UNRELIABLE,
                        **UNSURE,
                    ),
                    unread=["encoder.weights"],
                ),
            shell:
                "python -m pipeline.examples --params {params.cfg:q} --shard {input.shard:q}"
                " --spoken {input.spoken:q} --words {input.words:q} --faces {input.faces:q}"
                " --splits {input.splits:q} --examples {output.examples:q} > {log:q} 2>&1"


if DEGRADED or WORD_SOURCES:

    rule unreliable:
        input:
            dataset=f"{RUN}/{{fold}}/dataset",
            text=degraded_files("text"),
            audio=degraded_files("audio"),
            visual=degraded_files("visual"),
            words=(
                expand(f"{RUN}/features/words/{{shard}}.safetensors", shard=SHARDS)
                if WORD_SOURCES
                else []
            ),
        output:
            features=f"{RUN}/{{fold}}/protocol/unreliable.safetensors",
            levels=f"{RUN}/{{fold}}/protocol/unreliable.parquet",
        log:
            f"{LOGS}/unreliable/{{fold}}.log",
        benchmark:
            f"{COSTS}/unreliable/{{fold}}.tsv"
        conda:
            "../envs/training.yaml"
        resources:
            mem_mb=memory(4000),
            runtime=30,
        params:
            **made_by("pipeline.unreliable"),
        shell:
            "python -m pipeline.unreliable --params {params.cfg:q} --dataset {input.dataset:q}"
            " --text {input.text:q} --audio {input.audio:q} --visual {input.visual:q}"
            " --words {input.words:q} --features {output.features:q} --levels {output.levels:q} > {log:q} 2>&1"
