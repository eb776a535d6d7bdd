"""The command line: `commands` has the commands, `words` and `scores` say what the rooms below return."""
