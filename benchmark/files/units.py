"""Units of length as files name them."""

from __future__ import annotations

from benchmark.errors import InputError

_NAMES = {
    1e-6: ("nm", "nanometer", "nanometre"),
    1e-3: ("um", "\u00b5m", "\u03bcm", "micron", "micrometer", "micrometre"),
    1.0: ("mm", "millimeter", "millimetre"),
    10.0: ("cm", "centimeter", "centimetre"),
    100.0: ("dm", "decimeter", "decimetre"),
    1000.0: ("m", "meter", "metre"),
    25.4: ("in", "inch"),
}
MM = {name: length for length, names in _NAMES.items() for name in names}  # [mm]
UNSTATED = ("", "?", "unknown", "none", "pixel", "pixels", "px")


def mm_per(where: str, name: str) -> float | None:
    """Return the length of a unit [mm], None where the file states no unit. Raise InputError for an unknown unit."""
    plain = name.strip().lower()
    if plain in UNSTATED:
        return None
    for form in (plain, plain.removesuffix("s"), plain.removesuffix("es")):
        if form in MM:
            return MM[form]
    fix = "Write the lengths in mm into the file."
    raise InputError(where, expected="a unit of length (mm, cm, m, um, nm, in)", found=f"'{name:.40}'", fix=fix)
