# The encoders: stand-ins that this pipeline trains itself, or public weights, pinned.

if CFG.encoders.standins:

    rule standins:
        input:
            parts=expand(f"{RUN}/corpus/{{part}}", part=PARTS),
        output:
            text=directory(f"{RUN}/encoders/text"),
            audio=directory(f"{RUN}/encoders/audio"),
            visual=directory(f"{RUN}/encoders/visual"),
        log:
            f"{LOGS}/standins.log",
        benchmark:
            f"{COSTS}/standins.tsv"
        conda:
            "../envs/encoders.yaml"
        threads: CFG.threads
        resources:
            gpu=GPU,
            mem_mb=memory(4000),
            runtime=60,
        params:
            **made_by(
                "pipeline.standins",
                cfg=dict(standins=CFG.standins, seed=CFG.embedded.seed, **COMPUTE),
            ),
            tables=[f"{RUN}/corpus/{part}/utterances.parquet" for part in PARTS],
        shell:
            "python -m pipeline.standins --params {params.cfg:q} --utterances {params.tables:q}"
            " --text {output.text:q} --audio {output.audio:q} --visual {output.visual:q}"
            " > {log:q} 2>&1"

else:

    rule weights:
        output:
            folder=directory(f"{RUN}/encoders/{{modality}}"),
        log:
            f"{LOGS}/weights/{{modality}}.log",
        benchmark:
            f"{COSTS}/weights/{{modality}}.tsv"
        localrule: True
        conda:
            "../envs/encoders.yaml"
        params:
            **made_by(
                "pipeline.weights",
                cfg=lambda wildcards: dict(
                    weights=getattr(CFG.encoders, wildcards.modality).weights
                ),
            ),
            files=lambda wildcards: placed_files(
                getattr(CFG.encoders, wildcards.modality).weights
            ),
        shell:
            "python -m pipeline.weights --params {params.cfg:q} --folder {output.folder:q}"
            " > {log:q} 2>&1"
