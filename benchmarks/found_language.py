"""Which language a recogniser finds in sentences of a speech synthesiser, and how many words it gets wrong.

    python benchmarks/found_language.py --recogniser FOLDER

The folder is a multilingual recogniser as the stage weights writes it. Needs Debian's espeak-ng.
"""

import argparse
import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from spoken import speech, word_errors

from pipeline.settings.recognition import DecodingSettings
from pipeline.speech import recognition

SAID = {
    "en-us": "The children walked to the river in the morning.",
    "de": "Die Kinder gingen am Morgen zum Fluss.",
    "fr-fr": "Les enfants sont allés à la rivière le matin.",
    "es": "Los niños caminaron hasta el río por la mañana.",
    "it": "I bambini sono andati al fiume di mattina.",
    "nl": "De kinderen liepen in de ochtend naar de rivier.",
}


def main() -> None:
    """Print a row a voice: the language that was found, and the word error rate."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recogniser", type=Path, required=True)
    folder = parser.parse_args().recogniser
    loaded = recognition.load(folder, DecodingSettings(), torch.device("cpu"), 1)
    print("| voice | language found | word error rate | heard |\n|---|---|---:|---|")
    for voice, text in SAID.items():
        wave, _ = speech([text], voices=(voice,))
        found = loaded.recognise(wave, "")
        heard = "".join(found["word"]).strip()
        language = found["language"][0] if len(found) else "none"
        print(f"| {voice} | {language} | {word_errors(text, heard):.2f} | {heard} |", flush=True)


if __name__ == "__main__":
    main()
