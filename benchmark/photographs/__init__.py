"""Photographs by calibrated cameras: cameras, videos to frames, up direction, poses and the box of a sequence."""
