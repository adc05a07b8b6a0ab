"""The page of a results folder while sweeps run in it: made again as results come, in a file or over HTTP on this machine."""
