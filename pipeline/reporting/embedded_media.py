"""Sounds and pictures as they stand in a page: small, and as text."""

import base64
from io import BytesIO
from typing import cast

import av
import cv2
import numpy as np
from jaxtyping import Float, UInt8

BITS = 32_000  # a second of speech
QUALITY = 92  # of a JPEG: what it adds is not seen beside what was done to the picture


def opus(samples: Float[np.ndarray, "_"], rate: int) -> str:
    """A sound within -1 ... 1 as Ogg Opus in base64; the same bytes for the same sound."""
    file = BytesIO()
    with av.open(file, "w", format="ogg") as made:
        # no random serial number, no name of the writer
        made.flags |= cast(int, av.container.Flags.bitexact.value)
        stream = made.add_stream("libopus", rate=rate, layout="mono")
        stream.bit_rate = BITS
        whole = np.rint(np.asarray(samples, np.float64).clip(-1, 1) * 32767).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(whole[None], format="s16", layout="mono")
        frame.sample_rate, frame.pts = rate, 0
        for packet in (*stream.encode(frame), *stream.encode(None)):
            made.mux(packet)
    return base64.b64encode(file.getvalue()).decode()


def jpeg(picture: UInt8[np.ndarray, "h w 3"]) -> str:
    """An RGB picture as JPEG in base64."""
    _, file = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    return base64.b64encode(file.tobytes()).decode()
