"""The settings of prepare-frames: keys of Pose Splatter's config files, and some of this project's own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from benchmark.errors import InputError, Mistakes, note, validation_mistakes
from benchmark.storage.text import read_text
from benchmark.storage.yaml_file import read_yaml

ELSEWHERE = (  # keys of Pose Splatter's other steps
    "volume_directory",
    "render_directory",
    "volume_compression_level",
    "vertical_lines_fn",
    "center_rotation_fn",
    "volume_sum_fn",
    "model_fn",
    "feature_fn",
    "embedding_fn",
    "train_time",
    "valid_time",
    "ell",
    "ell_tracking",
    "volume_idx",
    "volume_fill_color",
    "img_lambda",
    "ssim_lambda",
    "lr",
    "valid_every",
    "plot_every",
    "save_every",
)
Box = tuple[Annotated[int, Field(ge=0)], Annotated[int, Field(ge=0)], Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]]


class FramesConfig(BaseModel):
    """Settings of prepare-frames. Pixels are those of the videos; relative folders start at the config file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    data_directory: str = Field(".", description="folder of the videos")
    project_directory: str = Field(".", description="folder of the cameras' file and of the frames")
    video_fns: tuple[str, ...] = Field(min_length=2, description="a video, or a folder of images, for each camera")
    mask_video_fns: tuple[str, ...] = Field(min_length=2, description="a video, or a folder of images, of each camera's silhouettes")
    camera_fn: str = Field(description="HDF5 file with rotation, translation and intrinsic of each camera")
    image_directory: str = Field("images", description="folder that the frames are written to")
    image_width: int | None = Field(None, ge=1, description="width that the videos must have [pixels]")
    image_height: int | None = Field(None, ge=1, description="height that the videos must have [pixels]")
    image_downsample: int = Field(1, ge=1, le=64, description="edge of the blocks of pixels that are averaged [pixels]")
    image_compression_level: int = Field(2, ge=0, le=9, description="level of gzip")
    frame_jump: int = Field(1, ge=1, description="every so many frames one is taken")
    fps: float | None = Field(None, gt=0, description="frames a second of the videos; none = as they state")
    holdout_views: tuple[Annotated[int, Field(ge=0)], ...] | None = Field(
        None, description="cameras that are held out, counted from 0; none = as many as a run asks for"
    )
    grid_size: int = Field(64, ge=16, le=256, description="voxels along an edge of the grid in which `poses` crops the volume")
    adaptive_camera: bool = Field(False, description="must be false: cameras are taken as calibrated")
    camera_unit: Literal["m", "cm", "mm"] = Field("m", description="unit of the cameras' translation")
    crop: Box | tuple[Box, ...] | None = Field(None, description="[left, top, width, height] of all videos, or of each [pixels]")
    mask_threshold: int = Field(128, ge=1, le=255, description="grey level from which a mask's pixel is the object")
    up: Literal["cameras"] | tuple[float, float, float] = Field("cameras", description="up direction of the world: a vector, or found")
    piece: int = Field(16, ge=1, le=4096, description="frames of one camera in a file; what is written of it is lost by a kill")

    @property
    def crops(self) -> tuple[Box, ...] | None:
        """The crop of each camera."""
        if self.crop is None:
            return None
        return self.crop if isinstance(self.crop[0], tuple) else (self.crop,) * len(self.video_fns)  # type: ignore[return-value]


def read_config(path: Path) -> FramesConfig:
    """Read a JSON or YAML file. Raise InputError with all mistakes; keys of other steps are named in a note."""
    values = _read_json(path) if path.suffix.lower() == ".json" else read_yaml(path)
    mistakes, where = Mistakes(), str(path)
    unused = [key for key in ELSEWHERE if key in values]
    if unused:
        note(f"{path}: not used here: {', '.join(unused)} (the volume's box is found by `poses`)")
    try:
        config = FramesConfig(**{key: value for key, value in values.items() if key not in ELSEWHERE})
    except ValidationError as error:
        validation_mistakes(mistakes, error, FramesConfig, "", {})
        mistakes.raise_if_any(where)
        raise
    for name in ("mask_video_fns", "crop"):
        given = config.crops if name == "crop" else config.mask_video_fns
        if given is not None and len(given) != len(config.video_fns):
            mistakes.add(name, expected=f"one for each of the {len(config.video_fns)} video_fns", found=f"{len(given)}")
    if config.adaptive_camera:
        mistakes.add(
            "adaptive_camera", expected="false", found="true", fix="Give calibrated cameras, and `crop` for pictures that are cut."
        )
    mistakes.raise_if_any(where)
    return config


def output_folder(path: Path, config: FramesConfig) -> Path:
    """Return the folder of the frames that a config file makes."""
    return path.parent / Path(config.project_directory).expanduser() / config.image_directory


def _read_json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise InputError(str(path), expected="a JSON or YAML file", found="no such file")
    try:
        values = json.loads(read_text(path))
    except (ValueError, RecursionError) as error:
        raise InputError(str(path), expected="valid JSON", found=str(error)) from error
    if not isinstance(values, dict):
        raise InputError(str(path), expected="keys and values", found=type(values).__name__)
    return values
