"""Detect and blur faces with the Haar cascade (Viola & Jones 2001) that OpenCV ships."""

from collections.abc import Sequence

import cv2
import cv2.data
import numpy as np
from PIL import Image, ImageFilter

from pipeline.imaging.resizing import shrink

SIDE_PX = 400  # longer side, at most, of the picture that is searched
MIN_FACE_PX = 28
# Scale step of the pyramid, and overlapping detections needed for a face: strict, because folds and prints resemble faces.
SCALE_STEP, MIN_NEIGHBOURS = 1.1, 5
MARGIN = 0.15  # relative to the face: the cascade's boxes omit chin and forehead
BLUR_RADIUS = 0.2  # relative to the face

Box = tuple[float, float, float, float]  # left, top, right, bottom, relative to the picture's sides

_CASCADE = cv2.CascadeClassifier(f"{cv2.data.haarcascades}haarcascade_frontalface_alt2.xml")
cv2.setNumThreads(1)


def faces_of(grey: Image.Image) -> list[Box]:
    """Frontal faces in `grey`, mode L, largest first."""
    small = shrink(grey, SIDE_PX, Image.Resampling.BOX)
    width, height = small.size
    found = _CASCADE.detectMultiScale(np.asarray(small), SCALE_STEP, MIN_NEIGHBOURS, minSize=(MIN_FACE_PX, MIN_FACE_PX))
    boxes = sorted((tuple(int(number) for number in face) for face in found), key=lambda box: (-box[2], box))
    return [(left / width, top / height, (left + wide) / width, (top + high) / height) for left, top, wide, high in boxes]


def face_share(boxes: Sequence[Box]) -> float:
    """Height of the largest of `boxes`, relative to the picture; 0 without any."""
    return max((bottom - top for _, top, _, bottom in boxes), default=0.0)


def with_faces_blurred(image: Image.Image, boxes: Sequence[Box]) -> Image.Image:
    """`image`, mode L or RGB, with `boxes` and a margin around them blurred beyond recognition."""
    blurred = image.copy()
    for left, top, right, bottom in boxes:
        wide, high = (right - left) * image.width, (bottom - top) * image.height
        start_x, start_y = round(left * image.width - MARGIN * wide), round(top * image.height - MARGIN * high)
        end_x, end_y = round(right * image.width + MARGIN * wide), round(bottom * image.height + MARGIN * high)
        box = max(start_x, 0), max(start_y, 0), min(end_x, image.width), min(end_y, image.height)
        blurred.paste(image.crop(box).filter(ImageFilter.GaussianBlur(BLUR_RADIUS * max(wide, high))), box)
    return blurred
