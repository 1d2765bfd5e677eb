"""Faces of people, by the cascade of Haar features (Viola & Jones 2001) whose data come with OpenCV."""

from collections.abc import Sequence

import cv2
import cv2.data
import numpy as np
from PIL import Image, ImageFilter

SIDE_PX = 400  # of the longer side, at most, when faces are looked for
MIN_FACE_PX = 28
# Each step of the pyramid and how many overlapping finds make a face: strict, for folds and prints look like faces, too.
SCALE_STEP, MIN_NEIGHBOURS = 1.1, 5
MARGIN = 0.15  # of a face's side, blurred around it: the cascade's boxes leave out chin and forehead
BLUR_SHARE = 0.2  # radius, of a face's side

Box = tuple[float, float, float, float]  # left, top, right, bottom, as shares of the picture's sides

_CASCADE = cv2.CascadeClassifier(f"{cv2.data.haarcascades}haarcascade_frontalface_alt2.xml")
cv2.setNumThreads(1)


def faces_of(grey: Image.Image) -> list[Box]:
    """Frontal faces in `grey`, of mode L, the largest first."""
    share = min(1.0, SIDE_PX / max(grey.size))
    width, height = (max(1, round(side * share)) for side in grey.size)
    small = np.asarray(grey.resize((width, height), Image.Resampling.BOX))
    found = _CASCADE.detectMultiScale(small, SCALE_STEP, MIN_NEIGHBOURS, minSize=(MIN_FACE_PX, MIN_FACE_PX))
    boxes = sorted((tuple(int(number) for number in face) for face in found), key=lambda box: (-box[2], box))
    return [(left / width, top / height, (left + wide) / width, (top + high) / height) for left, top, wide, high in boxes]


def face_share(boxes: Sequence[Box]) -> float:
    """Height of the largest of `boxes`, of the picture's; 0 where there is none."""
    return max((bottom - top for _, top, _, bottom in boxes), default=0.0)


def with_faces_blurred(image: Image.Image, boxes: Sequence[Box]) -> Image.Image:
    """`image`, of mode L or RGB, beyond recognition within `boxes` and a margin around them."""
    blurred = image.copy()
    for left, top, right, bottom in boxes:
        wide, high = (right - left) * image.width, (bottom - top) * image.height
        start_x, start_y = round(left * image.width - MARGIN * wide), round(top * image.height - MARGIN * high)
        end_x, end_y = round(right * image.width + MARGIN * wide), round(bottom * image.height + MARGIN * high)
        box = max(start_x, 0), max(start_y, 0), min(end_x, image.width), min(end_y, image.height)
        blurred.paste(image.crop(box).filter(ImageFilter.GaussianBlur(BLUR_SHARE * max(wide, high))), box)
    return blurred
