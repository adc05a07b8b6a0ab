"""Does a method keep the contract? Checks that plug-in authors run on their own method: `python -m benchmark check NAME`.

`suite` starts a child process and collects findings; in the child, `checks` puts a `subject` (the method) before the tiny
`scans`. A crash costs one check, not the rest.
"""
