"""Captions of pictures, frozen text encoders, and a head that compares text with pictures."""
