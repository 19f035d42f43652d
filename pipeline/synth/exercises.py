"""Material for pretraining the stand-ins: voices, words and faces that are in no corpus.

No emotion label is ever a target. A voice must be turned into its own spectrum, its pitch and the manner it
was spoken in, a face into the parameters that it was drawn with. The manner is the prosody that the voice's
emotion gave it, and the face parameters are those of drawn expressions: both targets are near to emotion
supervision, which the training of a real speech or face network is not. So these encoders read the embedded
corpus better than public ones would.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from pipeline.encoders.alignment import align
from pipeline.synth.backdrop import room as backdrop
from pipeline.synth.emotions import EMOTIONS
from pipeline.synth.face import Person, Pose
from pipeline.synth.face_expression import KEYS, blend, expression
from pipeline.synth.face_identity import stranger
from pipeline.synth.microphone import draw_room, record
from pipeline.synth.voice import PROSODIES, draw_voice, speak

CROP = 160  # px, as the faces stage cuts them before an encoder scales them
VOICE_STREAM, FACE_STREAM = 77, 78
NEUTRAL = np.array(PROSODIES["neutral"])
SPREAD = np.array(list(PROSODIES.values())).std(0)
WORDS = (
    "apple", "river", "seven", "window", "under", "yellow", "mountain", "paper", "silver", "lantern", "into",
    "pocket", "winter", "orange", "market", "little", "hammer", "bottle", "eleven", "pepper", "garage",
    "butter", "velvet", "number", "island", "shadow", "mirror", "basket", "finger", "carpet", "cheese",
    "thunder", "jacket", "sugar", "oven", "many", "slow", "green", "moves", "finds", "keeps", "opens",
)  # fmt: skip


@dataclass(frozen=True)
class VoiceExercise:
    """A recorded voice.

    `sound` (samples,) float32 with zero mean and unit variance, `pitch` every 5 ms in octaves from 150 Hz,
    `manner` (9,) float32: the prosody as distance from a neutral one, in units of its spread over emotions.
    """

    sound: np.ndarray
    pitch: np.ndarray
    manner: np.ndarray


@dataclass(frozen=True)
class FaceExercise:
    """An aligned crop uint8 (side, side, 3) RGB and the parameters it was drawn with (19,) float32."""

    crop: np.ndarray
    parameters: np.ndarray


def voice_exercise(number: int, seed: int) -> VoiceExercise:
    """A made-up speaker who says a few unrelated words in some manner."""
    rng = np.random.default_rng([seed, VOICE_STREAM, number])
    voice = draw_voice(rng, feminine=bool(rng.random() < 0.5), spread=10.0)
    manner, intensity = EMOTIONS[int(rng.integers(len(EMOTIONS)))], float(rng.uniform(0.3, 1.0))
    words = " ".join(rng.choice(WORDS, size=int(rng.integers(3, 7)))) + str(rng.choice([".", "!", "?"]))
    speech = speak(words, voice, manner, intensity, rng)
    snr = float(np.clip(rng.normal(20, 7), 3, 35))
    sound = record(speech.sound, draw_room(rng), snr, rng)
    sound = (sound - sound.mean()) / (sound.std() + 1e-7)
    return VoiceExercise(
        sound=sound.astype(np.float32),
        pitch=np.log2(speech.pitch / 150).astype(np.float32),
        manner=((np.array(speech.manner) - NEUTRAL) / SPREAD).astype(np.float32),
    )


def face_exercise(number: int, seed: int, side: int) -> FaceExercise:
    """A made-up face with a mixture of two expressions, cut out as the faces stage would."""
    rng = np.random.default_rng([seed, FACE_STREAM, number])
    first, second = (
        expression(EMOTIONS[int(rng.integers(len(EMOTIONS)))], float(rng.uniform(0.2, 1.0))) for _ in range(2)
    )
    face = blend(first, second, float(rng.uniform(0, 0.5)))
    scale = float(rng.uniform(38, 64))
    size = int(2.9 * scale)
    picture = backdrop(size, size, rng)
    person = Person(stranger(rng), scale)
    person.sit(picture, size / 2, size * 0.47)
    picture = np.clip(picture, 0, 255).astype(np.uint8)
    pose = Pose(
        x=size / 2 + float(rng.normal()) * 0.05 * scale,
        y=size * 0.47 + float(rng.normal()) * 0.05 * scale,
        roll=float(rng.normal()) * 0.06,
        yaw=float(rng.normal()) * 0.14,
        mouth=float(rng.uniform(0, 0.7)),
        blink=0.9 * float(rng.random() < 0.04),
    )
    lamp = (float(rng.uniform(-0.7, 0.7)), float(rng.uniform(-0.7, -0.3)), 0.75)
    person.paint(picture, pose, face, lamp)
    # detectors place landmarks a pixel or two off, and films are compressed
    marks = person.landmarks(pose, face) + rng.normal(0, 0.025 * scale, (5, 2))
    quality = int(rng.integers(45, 95))
    _, packed = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    unpacked = cv2.imdecode(packed, cv2.IMREAD_COLOR)
    assert unpacked is not None, "a picture that was packed just now can be unpacked"
    picture = np.ascontiguousarray(unpacked[..., ::-1])
    crop = align(picture, marks, CROP)
    if side != CROP:
        crop = cv2.resize(crop, (side, side), interpolation=cv2.INTER_AREA)
    return FaceExercise(crop, np.array([face[key] for key in KEYS], np.float32))
