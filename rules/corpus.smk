# Raw dialogue video, its manifest, its folds, and the encoders.

from pipeline.core.registries.speakers import SPEAKERS

# what the config says of corpora that this run does not read
OTHER_CORPORA = [f"corpus.{section}" for section in CFG.corpus.unread]
PARTS = range(CFG.embedded.parts) if CORPUS.generated else []


# raw video comes from where a person starts the run; on a cluster that is the head node
rule corpus:
    output:
        folder=directory(f"{RUN}/corpus/{{part}}"),
    log:
        f"{LOGS}/corpus/{{part}}.log",
    benchmark:
        f"{COSTS}/corpus/{{part}}.tsv"
    localrule: True
    conda:
        "../envs/rendering.yaml"
    resources:
        mem_mb=memory(1500),
        runtime=120,
    params:
        **made_by(
            "pipeline.corpus",
            cfg=lambda wildcards: dict(
                process=CFG.embedded.process,
                rendering=CFG.embedded.rendering,
                seed=CFG.embedded.seed,
                part=int(wildcards.part),
                parts=CFG.embedded.parts,
            ),
        ),
    shell:
        "python -m pipeline.corpus --params {params.cfg:q} --folder {output.folder:q} > {log:q} 2>&1"


def given_files(stem):
    """The files of the extracted features that begin with this name; none may be there, and that is data."""
    folder = Path(os.path.expanduser(CFG.corpus.folder))
    if "{" in str(folder):
        stop(
            f"config, key corpus.folder: {folder} holds a brace, which Snakemake takes for the beginning of a "
            "wildcard. Rename the folder, or link to it under another name."
        )
    return sorted(str(path) for path in folder.glob(f"{stem}.*"))


def raw_folder():
    """The folder of a corpus on disk; one that is not there stops whatever needs the manifest."""
    try:
        return located(CFG.corpus.folder)
    except PipelineError as error:
        stop(error)


def listed(folder):
    """What lies in a folder, as one line; one that may not be looked into ends the run."""
    try:
        return listing(folder)
    except PipelineError as error:
        stop(error)


def raw_files(wildcards):
    """What the manifest is read from, file by file; of media there are too many, see `raw_listing`."""
    if CORPUS.generated:
        return []
    table = raw_folder() / CFG.corpus.own.time_table
    # of a Parquet file the listing tells the size alone; one that is not there is the stage's to name
    if CFG.corpus.name == "folder" and table.is_file():
        return [str(table)]
    return given_files("index") if CORPUS.given else []


def raw_listing(wildcards):
    """What lies in the folder of a corpus of media, with its transcripts and labels, as one line."""
    return "" if CORPUS.generated or CORPUS.given else listed(raw_folder())


# the tables of what is recognised in media without a transcript, and of who says it
TRANSCRIPTS = SHARDS if CFG.corpus.transcribed else []
SENTENCES = "voices" if CFG.corpus.told_apart else "transcripts"

if CFG.corpus.transcribed:

    def bare_media(wildcards):
        """The media of a group that have no transcript, each with its size and time, as one line."""
        from pipeline.corpora.folder import bare

        try:
            found = bare(
                raw_folder(),
                int(wildcards.group),
                CFG.corpus.shards,
                CFG.corpus.own.time_table,
            )
        except PipelineError as error:
            stop(error)
        told = [(path, path.stat()) for path in found]
        return " ".join(f"{path} {of.st_size} {of.st_mtime_ns}" for path, of in told)

    rule transcripts:
        input:
            recogniser=f"{RUN}/recogniser",
        output:
            told=f"{RUN}/transcripts/{{group}}.parquet",
        log:
            f"{LOGS}/transcripts/{{group}}.log",
        benchmark:
            f"{COSTS}/transcripts/{{group}}.tsv"
        conda:
            "../envs/annotate.yaml"
        threads: CFG.threads
        resources:
            gpu=GPU,
            mem_mb=memory(3000),
            runtime=480,
        params:
            **made_by(
                "pipeline.transcripts",
                cfg=lambda wildcards: dict(
                    folder=CFG.corpus.folder,
                    time_table=CFG.corpus.own.time_table,
                    groups=CFG.corpus.shards,
                    group=int(wildcards.group),
                    decoding=CFG.recognition.decoding,
                    sentences=CFG.recognition.sentences,
                    media=CFG.media,
                    **COMPUTE,
                ),
                unread=["sentences.unsure"],
            ),
            files=bare_media,
        shell:
            "python -m pipeline.transcripts --params {params.cfg:q}"
            " --recogniser {input.recogniser:q} --told {output.told:q} > {log:q} 2>&1"


if CFG.corpus.told_apart:

    rule voices:
        input:
            told=f"{RUN}/transcripts/{{group}}.parquet",
            encoder=f"{RUN}/speakers",
        output:
            voices=f"{RUN}/voices/{{group}}.parquet",
        log:
            f"{LOGS}/voices/{{group}}.log",
        benchmark:
            f"{COSTS}/voices/{{group}}.tsv"
        conda:
            "../envs/annotate.yaml"
        threads: CFG.threads
        resources:
            gpu=GPU,
            mem_mb=memory(3000),
            runtime=240,
        params:
            **made_by(
                "pipeline.voices",
                *SPEAKERS.values(),
                cfg=dict(
                    encoder=CFG.encoders.audio,
                    telling=CFG.speakers.telling,
                    media=CFG.media,
                    **COMPUTE,
                ),
                unread=[
                    *("encoder.weights", "encoder.layers", "encoder.final_norm"),
                    *("encoder.batch", "encoder.frames", "encoder.seconds"),
                    *("encoder.window", "telling.margin"),
                ],
            ),
        shell:
            "python -m pipeline.voices --params {params.cfg:q} --told {input.told:q}"
            " --encoder {input.encoder:q} --voices {output.voices:q} > {log:q} 2>&1"


# A checkpoint, so that after a change of the corpus only the shards whose slice really changed run again.
checkpoint manifest:
    input:
        raw=raw_files,
        parts=[
            *expand(f"{RUN}/corpus/{{part}}", part=PARTS),
            *expand(f"{RUN}/{SENTENCES}/{{group}}.parquet", group=TRANSCRIPTS),
        ],
    output:
        manifest=f"{RUN}/manifest.parquet",
        facts=f"{RUN}/facts.json",
        shards=expand(f"{RUN}/shards/{{shard}}.parquet", shard=SHARDS),
    log:
        f"{LOGS}/manifest.log",
    benchmark:
        f"{COSTS}/manifest.tsv"
    conda:
        "../envs/corpora.yaml"
    resources:
        mem_mb=memory(2500),
        runtime=60,
    params:
        **made_by(
            "pipeline.manifest",
            CORPUS.module,
            cfg=dict(corpus=CFG.corpus),
            unread=[
                "corpus.folds",
                "corpus.validation",
                "corpus.seed",
                "corpus.text",
                *OTHER_CORPORA,
            ],
        ),
        files=raw_listing,
    shell:
        "python -m pipeline.manifest --params {params.cfg:q} --parts {input.parts:q}"
        " --manifest {output.manifest:q} --facts {output.facts:q} --shards {output.shards:q}"
        " > {log:q} 2>&1"


rule splits:
    input:
        # an index of given features may hold splits that the manifest has not
        raw=raw_files,
        manifest=f"{RUN}/manifest.parquet",
    output:
        splits=f"{RUN}/{{fold}}/splits.parquet",
    log:
        f"{LOGS}/splits/{{fold}}.log",
    benchmark:
        f"{COSTS}/splits/{{fold}}.tsv"
    conda:
        "../envs/corpora.yaml"
    resources:
        mem_mb=memory(2500),
        runtime=30,
    params:
        **made_by(
            "pipeline.splits",
            CORPUS.module,
            cfg=lambda wildcards: dict(corpus=CFG.corpus, fold=wildcards.fold),
            unread=[
                "corpus.folds",
                "corpus.shards",
                "corpus.counts",
                "corpus.text",
                *OTHER_CORPORA,
            ],
        ),
    shell:
        "python -m pipeline.splits --params {params.cfg:q} --manifest {input.manifest:q}"
        " --splits {output.splits:q} > {log:q} 2>&1"
