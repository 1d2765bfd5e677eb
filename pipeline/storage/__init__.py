"""Files on disk: atomic writes, tables, shards, arrays, checkpoints, checksums, downloads."""
