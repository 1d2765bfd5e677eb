"""Atelier: from pictures of garments to a GAN a designer uses.

Data flows one way. `collect` lists pictures in a manifest; `fetch` brings their bytes into shards, each row ending with a
status; `inspect` decodes and measures every picture; `dedup` groups near-duplicates; `curate` keeps or drops, with a reason,
and splits by group; `augment` packs the training array and the untouched reference sets; `train` makes the GAN; `evaluate`
measures it against the reference; `report` shows everything on one page; `export` hands the generator on as ONNX.

Each stage is a module of this package with one `run()`. What a stage computes lives in `sources`, `images`, `gan` and
`metrics`, which are free of paths and clocks; what touches disk or network lives in `store`.
"""

__version__ = "0.1.0"
