"""Contract checks for authors of methods: `python -m benchmark check NAME`.

`suite` starts a child process and collects findings; in the child, `checks` run a `subject` (the method) on the tiny
`scans`. A crash ends one check, not the others.
"""
