"""Captions of pictures: titles cleaned, and sentences from attributes."""
