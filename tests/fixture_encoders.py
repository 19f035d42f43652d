"""Very small public-format encoders with random weights, placed where hand-fetched weights lie."""

from pathlib import Path

import torch
from tokenizers import ByteLevelBPETokenizer
from transformers import (
    ResNetConfig,
    ResNetModel,
    RobertaConfig,
    RobertaModel,
    RobertaTokenizerFast,
    Wav2Vec2Config,
    Wav2Vec2FeatureExtractor,
    Wav2Vec2Model,
)

from pipeline.core import artefacts

REVISION = "0" * 40
NAMES = {"text": "tests/text", "audio": "tests/audio", "visual": "tests/visual"}
# pins of config.yaml that concern other weights
LIFTED = {"pytorch_model.bin": "", "20180402-114759-vggface2.pt": ""}
SETTINGS = {
    "standins": False,
    **{
        modality: {"weights": {"name": name, "revision": REVISION, "files": LIFTED}}
        for modality, name in NAMES.items()
    },
}


def place(folder: Path) -> None:
    """Write all three below `folder/weights`."""
    torch.manual_seed(0)
    base = folder / "weights"
    _text(base / "tests--text" / REVISION)
    audio = Wav2Vec2Config(
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        conv_dim=(8, 8),
        conv_stride=(10, 8),
        conv_kernel=(20, 16),
        num_feat_extract_layers=2,
        num_conv_pos_embeddings=4,
        num_conv_pos_embedding_groups=2,
        feat_extract_norm="layer",
        do_stable_layer_norm=True,
    )
    target = base / "tests--audio" / REVISION
    Wav2Vec2Model(audio).save_pretrained(target)
    Wav2Vec2FeatureExtractor(return_attention_mask=True).save_pretrained(target)
    visual = ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic")
    target = base / "tests--visual" / REVISION
    ResNetModel(visual).save_pretrained(target)
    seen = {"size": {"height": 32, "width": 32}, "image_mean": [0.5] * 3, "image_std": [0.5] * 3}
    artefacts.save_json(target / "preprocessor_config.json", seen)


def _text(target: Path) -> None:
    target.mkdir(parents=True)
    bpe = ByteLevelBPETokenizer()
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    bpe.train_from_iterator(["Words of an utterance"], vocab_size=270, special_tokens=special)
    bpe.save_model(str(target))
    tokenizer = RobertaTokenizerFast(
        vocab=str(target / "vocab.json"), merges=str(target / "merges.txt"), model_max_length=64
    )
    tokenizer.save_pretrained(target)
    config = RobertaConfig(
        vocab_size=300,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=70,
    )
    RobertaModel(config, add_pooling_layer=False).save_pretrained(target)
