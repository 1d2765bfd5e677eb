"""A garment laid on a picture of a person, by geometry: anchors, a warp for each part, layers and light."""
