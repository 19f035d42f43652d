"""Fresh stand-in networks in the formats of the public encoders (`from_pretrained` folders)."""

import json
from collections.abc import Iterable
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    ResNetConfig,
    ResNetModel,
    RobertaConfig,
    RobertaModel,
    RobertaTokenizerFast,
    ViTImageProcessor,
    Wav2Vec2Config,
    Wav2Vec2FeatureExtractor,
    Wav2Vec2Model,
)

from pipeline.settings.standins import AudioStandinSettings, TextStandinSettings, VisualStandinSettings

SPECIAL = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")  # RoBERTa's own order
LONGEST = 128


def save_tokenizer(folder: Path, texts: Iterable[str], vocabulary: int) -> int:
    """Train a byte-level BPE on `texts` and save it as RoBERTa's tokenizer; returns its size."""
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=list(SPECIAL),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    bpe.train_from_iterator(texts, trainer)
    learnt = json.loads(bpe.to_str())["model"]
    merges = [pair if isinstance(pair, str) else " ".join(pair) for pair in learnt["merges"]]
    folder.mkdir(parents=True, exist_ok=True)
    vocab = json.dumps(learnt["vocab"], ensure_ascii=False)
    (folder / "vocab.json").write_text(vocab, encoding="utf-8")
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *merges, ""]), encoding="utf-8")
    # said here, for it is written into the files, and would else follow the environment (HF_HUB_OFFLINE)
    tokenizer = RobertaTokenizerFast.from_pretrained(str(folder), local_files_only=True)
    tokenizer.model_max_length = LONGEST
    tokenizer.save_pretrained(str(folder))
    return len(learnt["vocab"])


def new_roberta(settings: TextStandinSettings, vocabulary: int, seed: int) -> RobertaModel:
    """A small RoBERTa without a pooling layer, drawn from the seed."""
    torch.manual_seed(seed)
    config = RobertaConfig(
        vocab_size=vocabulary,
        hidden_size=settings.hidden,
        num_hidden_layers=settings.layers,
        num_attention_heads=4,
        intermediate_size=2 * settings.hidden,
        max_position_embeddings=LONGEST + 2,
        type_vocab_size=1,
        bos_token_id=0,
        pad_token_id=1,
        eos_token_id=2,
    )
    return RobertaModel(config, add_pooling_layer=False)


def new_wav2vec2(settings: AudioStandinSettings, seed: int) -> Wav2Vec2Model:
    """A small wav2vec2 of the layer-norm kind (safe under padding), without dropout or masking."""
    torch.manual_seed(seed)
    full = settings.channels
    config = Wav2Vec2Config(
        hidden_size=settings.hidden,
        num_hidden_layers=settings.layers,
        num_attention_heads=4,
        intermediate_size=2 * settings.hidden,
        conv_dim=(full // 4, full // 2, *(full,) * 5),  # the first two see every sample and cost the most
        feat_extract_norm="layer",
        feat_extract_activation="relu",
        conv_bias=True,
        do_stable_layer_norm=True,
        num_conv_pos_embeddings=32,
        num_conv_pos_embedding_groups=8,
        vocab_size=32,
        mask_time_prob=0.0,
        apply_spec_augment=False,
        layerdrop=0.0,
        hidden_dropout=0.0,
        attention_dropout=0.0,
        activation_dropout=0.0,
        feat_proj_dropout=0.0,
    )
    return Wav2Vec2Model(config)


def new_resnet(settings: VisualStandinSettings, seed: int) -> ResNetModel:
    """A small ResNet with four basic stages; its pooled output is `4 * width` wide."""
    torch.manual_seed(seed)
    half = settings.width // 2
    config = ResNetConfig(
        num_channels=3,
        embedding_size=half,
        hidden_sizes=[half, 2 * half, 4 * half, 8 * half],
        depths=[1, 1, 1, 1],
        layer_type="basic",
        downsample_in_first_stage=False,
    )
    return ResNetModel(config)


def save_audio_processor(folder: Path) -> None:
    """The wav2vec2 feature extractor: zero mean and unit variance an utterance, with attention masks."""
    Wav2Vec2FeatureExtractor(do_normalize=True, return_attention_mask=True).save_pretrained(str(folder))


def save_image_processor(folder: Path, side: int) -> None:
    """An image processor that maps RGB 0..255 to -1..1, as the network was pretrained."""
    half = [0.5, 0.5, 0.5]
    size = {"height": side, "width": side}
    ViTImageProcessor(size=size, image_mean=half, image_std=half).save_pretrained(str(folder))
