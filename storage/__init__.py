"""The floor: records, errors, configuration loading and the append-only store."""
