"""Make a case of a frame: centred and turned by the pose found from the training cameras, other cameras held out."""

from __future__ import annotations

import numpy as np

from benchmark.api import Case, Scan, choose_views

from . import MultiviewParams
from .cameras import Cameras
from .frames import Frame, open_frame
from .pose import estimate


def load(params: MultiviewParams) -> Case:
    """Load the photographs of one frame. Raise InputError for empty masks and for cameras with the object behind them."""
    frame = open_frame(params)
    total = len(frame.cameras)
    training, heldout = choose_views(params, total)
    pose = estimate(frame.cameras.subset(list(training)), frame.masks[list(training)], align=params.align)
    cameras = frame.cameras.in_frame(np.array(pose.centre), pose.yaw)
    return Case(
        name=frame.name,
        scan=scan(frame, cameras, training, pose.edge, params.size),
        heldout=scan(frame, cameras, heldout, pose.edge, params.size) if heldout else None,
        training_views=training,
        heldout_views=heldout,
        part=f"frame {params.frame}",
        facts={"pose": {"centre": list(pose.centre), "yaw": pose.yaw}},
    )


def scan(frame: Frame, cameras: Cameras, indices: tuple[int, ...], edge: float, size: int) -> Scan:
    """Make a scan of these cameras' photographs, first row lowest, with a cube of `edge` mm with `size` voxels along it."""
    chosen = list(indices)
    shape = frame.masks.shape[1:]
    geometry = cameras.subset(chosen).geometry((shape[0], shape[1]), volume_shape=(size,) * 3, volume_spacing=(edge / size,) * 3)
    return Scan(frame.masks[chosen, ::-1], geometry, colours=frame.images[chosen, ::-1], composite="over")
