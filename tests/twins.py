"""Plain-torch twins of the renderer's kernels: slow, short, and written from the equations rather than from the C++."""

from __future__ import annotations

import torch

MASK = 0xFFFFFFFF


def clip(origins: torch.Tensor, directions: torch.Tensor, bounds: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Entry and exit distance [N] of half-lines and a box [2, 3], float64; exit <= entry for a miss."""
    o, d, box = origins.double(), directions.double(), bounds.double()
    crossings = (box[:, None] - o) / d  # [2, N, 3]; +-inf along axes that the ray is parallel to
    near = crossings.amin(0).nan_to_num(nan=-torch.inf, posinf=torch.inf, neginf=-torch.inf).amax(1).clamp(min=0)
    far = crossings.amax(0).nan_to_num(nan=torch.inf, posinf=torch.inf, neginf=-torch.inf).amin(1)
    return near, far


def _mix(x: torch.Tensor) -> torch.Tensor:
    x = x ^ (x >> 16)
    x = x * 0x7FEB352D & MASK
    x = x ^ (x >> 15)
    x = x * 0x846CA68B & MASK
    return x ^ (x >> 16)


def jitter(seed: int, rays: int, samples: int) -> torch.Tensor:
    """Place in its bin of each sample, [rays, samples]."""
    key = _mix(_mix(torch.arange(rays) ^ seed))
    return (_mix(key[:, None] + torch.arange(samples) * 0x9E3779B9 & MASK) >> 8).double() / 2**24


def march(
    origins: torch.Tensor, directions: torch.Tensor, bounds: torch.Tensor, samples: int, seed: int | None = None
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """positions [M, 3], ts [M, 2] and (first, count) [N, 2] for a uniform number of samples per ray, float64."""
    near, far = clip(origins, directions, bounds)
    dt = ((far - near) / samples).clamp(min=0)
    place = torch.full((len(near), samples), 0.5, dtype=torch.float64) if seed is None else jitter(seed, len(near), samples)
    t = near[:, None] + (torch.arange(samples) + place) * dt[:, None]
    positions = origins.double()[:, None] + t[..., None] * directions.double()[:, None]
    hit = far > near
    ts = torch.stack([t, dt[:, None].expand_as(t)], -1)
    counts = hit.long() * samples
    return positions[hit].reshape(-1, 3), ts[hit].reshape(-1, 2), torch.stack([counts.cumsum(0) - counts, counts], 1)


def _owners(rays: torch.Tensor) -> torch.Tensor:
    """Which ray each sample belongs to, for tables without gaps."""
    return torch.repeat_interleave(torch.arange(len(rays)), rays[:, 1])


def composite_sum(mu: torch.Tensor, ts: torch.Tensor, rays: torch.Tensor) -> torch.Tensor:
    return torch.zeros(len(rays), dtype=mu.dtype).index_add(0, _owners(rays), mu * ts[:, 1].to(mu.dtype))


def composite_max(mu: torch.Tensor, rays: torch.Tensor) -> torch.Tensor:
    """Maximum of each ray's samples, ray by ray; 0 where there are none."""
    return torch.stack([mu[first : first + count].max() if count else mu.new_zeros(()) for first, count in rays.tolist()])


# -- Gaussian mixtures, float64: (means [K, 3], quaternions [K, 4], log scales [K, 3], log amplitudes [K]) ----------------


def precisions(quaternions: torch.Tensor, log_scales: torch.Tensor) -> torch.Tensor:
    """S^-1 [K, 3, 3]: sum over the axes n of n n^T / s^2, the axes being x, y, z turned by the quaternion (w x y z)."""
    q = quaternions.double() / quaternions.double().norm(dim=1, keepdim=True)
    w, vector = q[:, :1, None], q[:, None, 1:].expand(-1, 3, 3)
    axes = torch.eye(3, dtype=torch.float64).expand(len(q), 3, 3)
    turned = axes + 2 * w * torch.cross(vector, axes, dim=2) + 2 * torch.cross(vector, torch.cross(vector, axes, dim=2), dim=2)
    return torch.einsum("kni,knj,kn->kij", turned, turned, (-2 * log_scales.double()).exp())


def mixture_values(mixture: tuple[torch.Tensor, ...], points: torch.Tensor) -> torch.Tensor:
    """sum_k a exp(-(x - mu)^T S^-1 (x - mu) / 2) at points [N, 3]."""
    return gaussian_values(mixture, points).sum(1)


def gaussian_values(mixture: tuple[torch.Tensor, ...], points: torch.Tensor) -> torch.Tensor:
    """a exp(-(x - mu)^T S^-1 (x - mu) / 2) of each Gaussian at points [N, 3], [N, K]."""
    means, quaternions, log_scales, log_amplitudes = mixture
    away = points.double()[:, None] - means.double()
    squares = torch.einsum("nki,kij,nkj->nk", away, precisions(quaternions, log_scales), away)
    return (-squares / 2).exp() * log_amplitudes.double().exp()


def mixture_line_integrals(mixture: tuple[torch.Tensor, ...], origins: torch.Tensor, directions: torch.Tensor) -> torch.Tensor:
    """sum_k a sqrt(2 pi / d^T S^-1 d) exp(-(q - b^2 / d^T S^-1 d) / 2), q = r^T S^-1 r, b = r^T S^-1 d, r = mu - o, |d| = 1."""
    along, apart = _beside(mixture, origins, directions)
    return ((2 * torch.pi / along).sqrt() * (-apart / 2).exp() * mixture[3].double().exp()).sum(1)


def gaussian_peaks(mixture: tuple[torch.Tensor, ...], origins: torch.Tensor, directions: torch.Tensor) -> torch.Tensor:
    """max over t of a exp(-(o + t d - mu)^T S^-1 (o + t d - mu) / 2) of each Gaussian, [N, K]."""
    return (-_beside(mixture, origins, directions)[1] / 2).exp() * mixture[3].double().exp()


def soft_maximum(values: torch.Tensor, temperature: float) -> torch.Tensor:
    """T log(1 + sum_k (exp(p_k / T) - 1)) along the last axis."""
    return temperature * (values / temperature).expm1().sum(-1).log1p()


def _beside(mixture: tuple[torch.Tensor, ...], origins: torch.Tensor, directions: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """d^T S^-1 d, and the least (o + t d - mu)^T S^-1 (o + t d - mu) over t, [N, K]."""
    means, quaternions, log_scales, _ = mixture
    precision, d = precisions(quaternions, log_scales), directions.double()
    r = means.double() - origins.double()[:, None]
    along = torch.einsum("ni,kij,nj->nk", d, precision, d)
    b = torch.einsum("nki,kij,nj->nk", r, precision, d)
    q = torch.einsum("nki,kij,nkj->nk", r, precision, r)
    return along, q - b**2 / along
