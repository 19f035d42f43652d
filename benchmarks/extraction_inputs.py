"""What the bench of extraction works on: clips in utterances, full-size random encoders."""

import random
import shutil
from itertools import cycle, islice
from pathlib import Path

import polars as pl
import torch
from facenet_pytorch import InceptionResnetV1
from safetensors.torch import save_file
from tokenizers import ByteLevelBPETokenizer
from transformers import (
    RobertaConfig,
    RobertaModel,
    RobertaTokenizerFast,
    Wav2Vec2Config,
    Wav2Vec2FeatureExtractor,
    Wav2Vec2Model,
)

from pipeline import corpus
from pipeline.core import artefacts, media
from pipeline.extraction.shard import TYPES
from pipeline.settings.process import ProcessSettings

LONGEST = 4.0  # s of an utterance
SENTENCE = "so what did they say when you told them that it was over and nobody would come back this year"


def drawn(folder: Path, dialogues: int = 4) -> list[Path]:
    """Clips of the embedded corpus."""
    process = ProcessSettings(dialogues=dialogues, utterances=8)
    corpus.run(corpus.Params(process=process, parts=dialogues), folder=folder)
    return sorted(folder.rglob("*.mp4"))


def found(folder: Path) -> list[Path]:
    """Those files of a folder that hold pictures and sound."""
    clips = []
    for path in sorted(folder.iterdir()):
        try:
            facts = media.probe(path)
        except media.MediaAbsence:
            continue
        if facts.width and facts.sample_rate and facts.duration > 1:
            clips.append(path)
    return clips


def sentences(path: Path | None) -> list[str]:
    """The lines of a text file, in an order of their own; without one, 1,000 drawn lines of 3 to 25 words."""
    numbers, words = random.Random(0), SENTENCE.split()
    if path is None:
        return [" ".join(numbers.choices(words, k=numbers.randint(3, 25))) for _ in range(1000)]
    lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    return numbers.sample(lines, len(lines))


def utterances(clips: list[Path], count: int, folder: Path, texts: list[str]) -> pl.DataFrame:
    """So many utterances of at most `LONGEST` s, each clip under another name as often as it is needed.

    They say `texts` in turn. Returns the columns of a shard.
    """
    folder.mkdir(parents=True, exist_ok=True)
    said = cycle(texts)
    rows: list[dict] = []
    for turn, clip in enumerate(cycle(clips)):
        place = folder / f"{turn:05d}{clip.suffix}"
        if not place.exists():
            shutil.copyfile(clip, place)
        duration = media.probe(clip).duration
        parts = max(1, round(duration / LONGEST + 0.4))
        for part in range(parts):
            rows.append(
                {
                    "utterance": f"u{len(rows)}",
                    "text": next(said),
                    "media": str(place),
                    "start": duration * part / parts,
                    "end": duration * (part + 1) / parts,
                    "crop": None,
                    "withheld": None,
                }
            )
        if len(rows) >= count:
            break
    return pl.DataFrame(list(islice(rows, count)), schema=TYPES)


def nothing(table: pl.DataFrame, folder: Path) -> pl.DataFrame:
    """One utterance without words, of a file that is not there: no work for any stage."""
    lacking = str(folder / "there is no such file.mp4")
    return table.head(1).with_columns(text=pl.lit(""), media=pl.lit(lacking))


def encoders(folder: Path, texts: list[str]) -> dict[str, Path]:
    """RoBERTa-base, wav2vec2-base (its group norm, too) and InceptionResnetV1, with random weights.

    The tokenizer is trained on `texts`, so that a word has as few tokens as with one of its language.
    """
    torch.manual_seed(0)
    made = {name: folder / name for name in ("text", "audio", "visual")}
    for path in made.values():
        path.mkdir(parents=True)
    bpe = ByteLevelBPETokenizer()
    bpe.train_from_iterator(
        texts,
        vocab_size=10_000,
        min_frequency=2,
        special_tokens=["<s>", "<pad>", "</s>", "<unk>", "<mask>"],
    )
    bpe.save_model(str(made["text"]))
    RobertaTokenizerFast(
        vocab=str(made["text"] / "vocab.json"), merges=str(made["text"] / "merges.txt"), model_max_length=512
    ).save_pretrained(made["text"])
    text = RobertaConfig(vocab_size=50_265, max_position_embeddings=514)
    RobertaModel(text, add_pooling_layer=False).save_pretrained(made["text"])
    Wav2Vec2Model(Wav2Vec2Config()).save_pretrained(made["audio"])
    Wav2Vec2FeatureExtractor(return_attention_mask=False).save_pretrained(made["audio"])
    face_encoder(made["visual"])
    return made


def face_encoder(folder: Path) -> Path:
    """InceptionResnetV1 with random weights in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    visual = InceptionResnetV1(pretrained=None, classify=False)
    save_file(visual.state_dict(), str(folder / "model.safetensors"))
    artefacts.save_json(folder / "config.json", {"model_type": "inception_resnet_v1"}, seal=False)
    return folder
