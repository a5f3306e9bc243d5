"""The `arzamed` command (extra `cli`)."""
