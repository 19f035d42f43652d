"""What is measured of how reliable features look, by name (docs/unreliable.md, The trust gate).

The measures stand in `pipeline/extraction/gauges.py`.
"""

from collections.abc import Mapping

# by modality, in the order of the arrays
GAUGES: Mapping[str, tuple[str, ...]] = {
    "text": ("words", "known_pairs", "confidence"),
    "audio": ("level", "range", "flatness", "crest", "treble"),
    "visual": ("probability", "speaking", "sharpness", "brightness", "contrast", "flat", "blocks"),
}


def table_name(modality: str, gauge: str) -> str:
    """The column of a gauge in the tables of all modalities."""
    return f"{modality}_{gauge}"
