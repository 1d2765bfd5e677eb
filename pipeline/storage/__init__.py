"""The doors outward: files that appear whole or not at all, tables, shards, checkpoints, tracking."""
