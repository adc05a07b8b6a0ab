"""Reconstruction by several methods, mixed."""

from __future__ import annotations

import numpy as np
import torch

from benchmark.api import Reconstruction, Run, Scan, run_part
from benchmark.fields import guided_fit

from . import FIELDS, BlendParams

TAU = 0.3  # smallest gradient that counts as an edge, see guided_fit
SHARP = 0.5  # share of the fit with total variation in the mixture


def reconstruct(scan: Scan, params: BlendParams, run: Run) -> Reconstruction:
    """Fit the scan by every part, then mix the mean of the fields with a fit of the volume guided by it.

    Fields are smooth where the scan says little, total variation is flat there: their errors differ, and are smaller in the mean. A
    part that the budget leaves no step for is left out.
    """
    smooth = run_part("fista_tv", scan, run)
    volumes = {}
    for name in FIELDS:
        steps, before = getattr(params, name), run.step
        if steps != 0:
            found = run_part(name, scan, run, **({} if steps is None else {"steps": steps}))
            if run.step > before:
                volumes[name] = torch.from_numpy(np.array(found.volume)).to(run.device)
    weight = smooth.info["weight"]
    sharp = torch.from_numpy(np.array(smooth.volume)).to(run.device)
    mixture, before = sharp, run.step
    if volumes:
        mean = torch.stack(list(volumes.values())).mean(0)
        guided = guided_fit(mean, scan, weight, run, TAU)
        mixture = torch.lerp(mean, guided if run.step > before else sharp, SHARP)
    return Reconstruction(volume=mixture.cpu().numpy(), info={"parts": ["fista_tv", *volumes], "weight": weight})
