"""What can be done to the raw media of a test utterance (docs/unreliable.md), by the name of its kind.

The functions stand in `pipeline/degradation/`, those of a modality in one module. The order here is that of
tables and figures.
"""

from dataclasses import dataclass

from models.conditions import Condition

FAMILY = "unreliable"  # of the conditions
OTHER_WORDS = "words"  # of those that read the words of another source
HEARD = "heard"  # what a recogniser makes of degraded sound: by the stage degraded_words


def gauges_of(condition: object) -> str:
    """The name of the array of a condition's reliability inputs, beside that of its features."""
    return f"gauges/{condition}"


@dataclass(frozen=True)
class Degradation:
    """What tables and settings need to know of a kind."""

    modality: str  # the one whose features change
    scale: str  # the key of `unreliable` that holds its levels; empty: it has none
    measured: str  # what its realised level is, with its unit
    told: str  # what happens to an utterance, with a place for the level


DEGRADATIONS = {
    "babble": Degradation(
        "audio", "snr", "SNR (dB)", "Voices of other dialogues speak into the sound, at {} dB"
    ),
    "noise": Degradation("audio", "snr", "SNR (dB)", "There is pink noise in the sound, at {} dB"),
    "tones": Degradation("audio", "snr", "SNR (dB)", "Chords play into the sound, at {} dB"),
    "telephone": Degradation(
        "audio", "snr", "SNR (dB)", "The sound has the band of a telephone, and noise of the line at {} dB"
    ),
    "clipping": Degradation("audio", "snr", "SNR (dB)", "The sound is overdriven, with distortion at {} dB"),
    "blur": Degradation("visual", "strengths", "PSNR (dB)", "The face is blurred, at strength {}"),
    "darkness": Degradation("visual", "strengths", "PSNR (dB)", "The face is dark, at strength {}"),
    "jpeg": Degradation(
        "visual", "strengths", "PSNR (dB)", "The face went through a poor JPEG, at strength {}"
    ),
    "low_resolution": Degradation(
        "visual", "strengths", "PSNR (dB)", "The face has few pixels, at strength {}"
    ),
    "mouth": Degradation("visual", "strengths", "share of pixels", "The mouth is covered, at strength {}"),
    "eyes": Degradation("visual", "strengths", "share of pixels", "The eyes are covered, at strength {}"),
    "misheard": Degradation(
        "text", "errors", "word error rate", "The words are misheard, at a word error rate of {}"
    ),
    HEARD: Degradation(
        "text",
        "heard",
        "word error rate",
        "The words are what a recogniser hears in degraded sound, at {} dB",
    ),
    "timing": Degradation("audio", "shifts", "delay (s)", "The sound comes {} s after the picture"),
}

# whose words the test utterances have, in the order of the table `words`
SOURCES = {
    "given": Degradation("text", "", "word error rate", "The words are those that the corpus gives"),
    "recognised": Degradation(
        "text", "", "word error rate", "The words are those that the recogniser of speech hears"
    ),
    "misheard": Degradation(
        "text",
        "errors",
        "word error rate",
        "A stated confusion model (no recogniser) mistakes the given words, at a word error rate of {}",
    ),
    "none": Degradation("text", "", "word error rate", "There are no words"),
}


def about(condition: Condition) -> Degradation:
    """What is done under a condition of either family; raises KeyError for a kind that is not known."""
    return (SOURCES if condition.family == OTHER_WORDS else DEGRADATIONS)[condition.kind]
