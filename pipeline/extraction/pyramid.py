"""MTCNN on many pictures of one size at once, for a device that is idle with one.

The steps are those of facenet-pytorch. It cuts the candidates of the second and third network out one by one,
thousands of small calls a batch; here all of them are averaged at once from sums over the picture.
"""

from collections.abc import Callable

import numpy as np
import torch
from facenet_pytorch import MTCNN
from facenet_pytorch.models.utils.detect_face import bbreg, generateBoundingBox, imresample, nms_numpy, rerec
from jaxtyping import Float, Int, UInt8
from torch import Tensor
from torchvision.ops.boxes import batched_nms

MOST = 2048  # candidates of one forward pass
NOTHING = np.zeros((0, 15), np.float32)  # detections as rows: box, probability, landmarks
# boxes (x0, y0, x1, y1, probability), landmarks (x, y) of one picture, in pixels
Detections = tuple[Float[np.ndarray, "k 5"], Float[np.ndarray, "k 5 2"]]


def scaled(values: Tensor) -> Tensor:
    """Pixels as the networks of MTCNN read them."""
    return (values - 127.5) * 0.0078125


def summed(pictures: UInt8[Tensor, "n h w 3"]) -> Int[Tensor, "n h1 w1 3"]:
    """Sums of all pixels above and to the left of each corner, exact."""
    count, height, width, channels = pictures.shape
    kind = torch.int32 if height * width * 255 < 2**31 else torch.int64
    sums = torch.zeros(count, height + 1, width + 1, channels, dtype=kind, device=pictures.device)
    sums[:, 1:, 1:] = pictures.to(kind).cumsum(1, dtype=kind).cumsum(2, dtype=kind)
    return sums


def _edges(first: Tensor, last: Tensor, side: int) -> tuple[Tensor, Tensor]:
    """Where the `side` cells of each span (first ... last) begin and end, as adaptive pooling divides it."""
    size, cell = (last - first)[:, None], torch.arange(side, device=first.device)
    return first[:, None] + cell * size // side, first[:, None] - -((cell + 1) * size) // side


def averaged(
    sums: Int[Tensor, "n h1 w1 3"], owner: Int[Tensor, " b"], spans: Int[Tensor, "b 4"], side: int
) -> Float[Tensor, "b 3 side side"]:
    """Parts of pictures, each averaged to one size.

    owner: the picture of each part; spans: its first column and row, and those after its last.
    """
    left, right = _edges(spans[:, 0], spans[:, 2], side)
    top, bottom = _edges(spans[:, 1], spans[:, 3], side)

    def at(row: Tensor, column: Tensor) -> Tensor:
        return sums[owner[:, None, None], row[:, :, None], column[:, None, :]]

    total = at(bottom, right) - at(top, right) - at(bottom, left) + at(top, left)
    area = (bottom - top)[:, :, None] * (right - left)[:, None, :]
    return (total.float() / area[..., None]).permute(0, 3, 1, 2)


def _inside(sums: Tensor, boxes: Tensor, owner: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Boxes, their pictures and their spans of pixels, without those that lie outside their picture."""
    spans = boxes[:, :4].trunc().long()
    height, width = sums.shape[1] - 1, sums.shape[2] - 1
    low = spans[:, :2].clamp(min=1) - 1
    high = torch.minimum(spans[:, 2:], torch.tensor([width, height], device=spans.device))
    inside = (high > low).all(1)
    return boxes[inside], owner[inside], torch.cat([low, high], 1)[inside]


def _judged(
    network: Callable[[Tensor], tuple[Tensor, ...]], sums: Tensor, owner: Tensor, spans: Tensor, side: int
) -> tuple[Tensor, ...]:
    """What the second or third network says of one box or more."""
    parts = [
        network(scaled(averaged(sums, owner[first : first + MOST], spans[first : first + MOST], side)))
        for first in range(0, len(owner), MOST)
    ]
    return tuple(torch.cat(values) for values in zip(*parts, strict=True))


def _proposed(mtcnn: MTCNN, pictures: Float[Tensor, "n 3 h w"]) -> tuple[Tensor, Tensor]:
    """The boxes of the first network over all scales, and the picture of each."""
    height, width = pictures.shape[2:]
    scale, found, owners = 12.0 / mtcnn.min_face_size, [], []
    side = min(height, width) * scale
    while side >= 12:
        small = imresample(pictures, (int(height * scale + 1), int(width * scale + 1)))
        shift, sure = mtcnn.pnet(scaled(small))
        boxes, owner = generateBoundingBox(shift, sure[:, 1], scale, mtcnn.thresholds[0])
        kept = batched_nms(boxes[:, :4], boxes[:, 4], owner, 0.5)
        found.append(boxes[kept])
        owners.append(owner[kept])
        scale, side = scale * mtcnn.factor, side * mtcnn.factor
    boxes, owner = torch.cat(found), torch.cat(owners)
    kept = batched_nms(boxes[:, :4], boxes[:, 4], owner, 0.7)
    boxes, owner = boxes[kept], owner[kept]
    size = boxes[:, 2:4] - boxes[:, :2]
    corners = [boxes[:, :2] + boxes[:, 5:7] * size, boxes[:, 2:4] + boxes[:, 7:9] * size]
    return rerec(torch.cat([*corners, boxes[:, 4:5]], 1)), owner


@torch.inference_mode()
def detect(mtcnn: MTCNN, pictures: UInt8[Tensor, "n h w 3"]) -> list[Detections]:
    """The faces of each picture, largest first, as `mtcnn.detect` finds them in one.

    pictures: on the networks' device, on both sides at least `mtcnn.min_face_size` pixels.
    """
    sums = summed(pictures)
    boxes, owner = _proposed(mtcnn, pictures.permute(0, 3, 1, 2).float())
    boxes, owner, spans = _inside(sums, boxes, owner)
    if not len(owner):
        return [_apart(NOTHING) for _ in pictures]
    shift, sure = _judged(mtcnn.rnet, sums, owner, spans, 24)
    good = sure[:, 1] > mtcnn.thresholds[1]
    boxes, owner, shift = torch.cat([boxes[good, :4], sure[good, 1:]], 1), owner[good], shift[good]
    kept = batched_nms(boxes[:, :4], boxes[:, 4], owner, 0.7)
    boxes, owner = rerec(bbreg(boxes[kept], shift[kept])), owner[kept]
    boxes, owner, spans = _inside(sums, boxes, owner)
    if not len(owner):
        return [_apart(NOTHING) for _ in pictures]
    shift, places, sure = _judged(mtcnn.onet, sums, owner, spans, 48)
    good = sure[:, 1] > mtcnn.thresholds[2]
    boxes, owner, shift = torch.cat([boxes[good, :4], sure[good, 1:]], 1), owner[good], shift[good]
    size = boxes[:, 2:4] - boxes[:, :2] + 1
    # five columns, then five rows
    points = places[good].view(-1, 2, 5) * size[..., None] + boxes[:, :2, None] - 1
    boxes = bbreg(boxes, shift)
    told = torch.cat([owner[:, None].to(boxes), boxes, points.permute(0, 2, 1).flatten(1)], 1).cpu().numpy()
    return [_apart(told[told[:, 0] == number, 1:]) for number in range(len(pictures))]


def _apart(told: np.ndarray) -> Detections:
    """One picture's detections (boxes, probability, landmarks as rows) without those within another."""
    if len(told):
        told = told[nms_numpy(told[:, :4], told[:, 4], 0.7, "Min")]
        told = told[np.argsort((told[:, 2] - told[:, 0]) * (told[:, 3] - told[:, 1]))[::-1]]
    return told[:, :5], told[:, 5:].reshape(-1, 5, 2)
