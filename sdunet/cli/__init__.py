"""The `sdunet` command: one file a group of commands; parse, call, print."""
