"""The files that scanners and other programs leave beside their images, for `new-scan`: one module each."""

from __future__ import annotations

from benchmark.api import ScanFormatSpec, hookimpl

FORMATS = {
    "nikon": ("Nikon and X-Tek: .xtekct, with .ang or _ctdata.txt", (), ""),
    "skyscan": ("Bruker SkyScan: the .log of an acquisition", (), ""),
    "rtk": (
        "RTK: geometry.xml, projections in .mha or .mhd",
        (),
        "Rit et al., Journal of Physics Conference Series 489, 2014, doi 10.1088/1742-6596/489/1/012079",
    ),
    "zeiss": ("Zeiss Xradia: .txrm, which holds the projections too", ("olefile",), ""),
    "north_star": ("North Star Imaging: .nsipro, with Radiographs and Corrections", (), ""),
    "leap": ("LEAP: a file of parameters (cone, parallel, modular)", (), "Kim, Champley, LEAP, arXiv 2307.05801"),
    "tigre": (
        "TIGRE: a geometry in .mat or .npz",
        (),
        "Biguri et al., Biomed. Phys. Eng. Express 2, 2016, doi 10.1088/2057-1976/2/5/055010",
    ),
    "astra": ("ASTRA: cone_vec vectors in .npy or .txt", (), "van Aarle et al., Opt. Express 24, 2016, doi 10.1364/OE.24.025129"),
    "phoenix": ("GE and Phoenix: .pca", (), ""),
}


@hookimpl
def register_scan_formats() -> list[ScanFormatSpec]:
    return [
        ScanFormatSpec(
            name=name,
            recognises=f"benchmark.datasets.scanners.{name}:recognises",
            read=f"benchmark.datasets.scanners.{name}:read",
            summary=summary,
            requires=requires,
            cite=cite,
        )
        for name, (summary, requires, cite) in FORMATS.items()
    ]
