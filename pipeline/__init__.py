"""Atelier: from pictures of garments to a GAN that a designer uses.

Data flows one way. `collect` lists pictures in a manifest; `fetch` brings their bytes into shards, each row ending with a
status; `inspect` decodes and measures every picture; `dedup` groups near-duplicates; `curate` keeps or drops, with a reason,
and splits by group; `augment` packs the training array and the untouched reference sets; `reference` trains the judge; `train`
trains the GAN; `evaluate` measures it against the reference; `report` shows everything on one page; `export` writes ONNX.

A stage is a folder of `stages/` whose module `run` has one `run()`. CONTRIBUTING.md says what the other folders hold.
"""

__version__ = "0.1.0"
