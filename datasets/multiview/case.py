"""Make a case of a frame: centred and turned by the pose of the body, other cameras held out."""

from __future__ import annotations

import math

import numpy as np

from benchmark.api import Cameras, Case, Frame, Pose, Scan, choose_views

from . import MultiviewParams
from .frames import open_frame


def load(params: MultiviewParams) -> Case:
    """Load the photographs of one frame. Raise InputError for empty masks and for cameras with the object behind them."""
    frame = open_frame(params)
    training, heldout = choose_views(params, len(frame.cameras), heldout=frame.cameras.heldout)
    pose = frame.pose(training, params.align)
    cameras = frame.cameras.in_frame(np.array(pose.centre), pose.turn)
    return Case(
        name=frame.name,
        scan=scan(frame, cameras, training, pose, params.size),
        heldout=scan(frame, cameras, heldout, pose, params.size) if heldout else None,
        training_views=training,
        heldout_views=heldout,
        part=f"frame {params.frame}",
        facts={"pose": {"centre": list(pose.centre), "yaw": pose.yaw, "up": list(pose.up)}},
    )


def scan(frame: Frame, cameras: Cameras, indices: tuple[int, ...], pose: Pose, size: int) -> Scan:
    """Make a scan of these cameras' photographs, first row lowest, on the pose's box with `size` voxels along its longest edge."""
    chosen = list(indices)
    rows, columns = frame.masks.shape[1:]
    lower, upper = np.array(pose.lower)[::-1], np.array(pose.upper)[::-1]  # z, y, x
    voxel = float((upper - lower).max()) / size
    z, y, x = (max(1, math.ceil(count - 1e-6)) for count in ((upper - lower) / voxel).tolist())
    middle = ((lower + upper) / 2).tolist()
    box = {"volume_shape": (z, y, x), "volume_spacing": (voxel,) * 3, "volume_offset": tuple(middle)}
    geometry = cameras.subset(chosen).geometry((rows, columns), **box)
    return Scan(frame.masks[chosen, ::-1], geometry, colours=frame.images[chosen, ::-1], composite="over")
