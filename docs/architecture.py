"""Draws docs/architecture.svg from the imports that are in the code now: `make docs`.

A room is a folder or file directly under benchmark/. It stands one floor above the highest room that it imports. Of the arrows only
those are drawn that no longer way implies (the transitive reduction), so that a picture of some 170 imports stays readable.
"""

from __future__ import annotations

import ast
import textwrap
from pathlib import Path
from xml.sax.saxutils import escape

import grimp

ROOT = Path(__file__).resolve().parents[1]
PICTURE = ROOT / "docs" / "architecture.svg"
WIDTH, MARGIN = 1180, 20  # [px] of the picture, and around it
ROOM = (206, 80)  # [px] width and height of a room
STOREY = 116  # [px] from floor to floor
LETTERS = 34  # of a line of text in a room


def imports() -> dict[str, set[str]]:
    """The rooms that each room imports, functions' own imports included."""
    graph = grimp.build_graph("benchmark", exclude_type_checking_imports=True)
    rooms: dict[str, set[str]] = {room.removeprefix("benchmark."): set() for room in graph.find_children("benchmark")}
    for module in graph.modules:
        for imported in graph.find_modules_directly_imported_by(module):
            above, below = (name.split(".")[1] if "." in name else "" for name in (module, imported))
            if above and below and above != below:
                rooms[above].add(below)
    return rooms


def floors(rooms: dict[str, set[str]]) -> dict[str, int]:
    """The floor of each room, 1 at the ground. Raises ValueError for a circle."""
    found: dict[str, int] = {}

    def floor(room: str, way: tuple[str, ...]) -> int:
        if room in way:
            raise ValueError(f"rooms import each other: {' -> '.join((*way, room))}")
        if room not in found:
            found[room] = 1 + max((floor(below, (*way, room)) for below in rooms[room]), default=0)
        return found[room]

    for room in rooms:
        floor(room, ())
    return found


def reduced(rooms: dict[str, set[str]]) -> dict[str, set[str]]:
    """The arrows that no longer way implies."""

    def reached(room: str) -> set[str]:
        return rooms[room] | {further for below in rooms[room] for further in reached(below)}

    return {room: {b for b in below if not any(b in reached(other) for other in below - {b})} for room, below in rooms.items()}


def purpose(room: str) -> str:
    """The first sentence of a room's docstring."""
    place = ROOT / "benchmark" / room
    path = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
    text = " ".join((ast.get_docstring(ast.parse(path.read_text())) or "").split())
    return text.partition(". ")[0].rstrip(".")


def placed(rooms: dict[str, set[str]], arrows: dict[str, set[str]]) -> dict[str, tuple[float, float]]:
    """The upper left corner of each room [px]; rooms of a floor stand in the order of what they import, left to right."""
    storeys: dict[int, list[str]] = {}
    for room, floor in floors(rooms).items():
        storeys.setdefault(floor, []).append(room)
    places: dict[str, tuple[float, float]] = {}

    def middle(room: str) -> float:
        below = [places[name][0] for name in arrows[room]]
        return sum(below) / len(below) if below else WIDTH / 2

    for floor in sorted(storeys):
        names = sorted(storeys[floor], key=lambda room: (middle(room), room))
        gap = (WIDTH - len(names) * ROOM[0]) / (len(names) + 1)
        top = MARGIN + (max(storeys) - floor) * STOREY
        places |= {name: (gap + index * (ROOM[0] + gap), top) for index, name in enumerate(names)}
    return places


def draw() -> str:
    """The picture as SVG."""
    rooms = imports()
    arrows = reduced(rooms)
    places = placed(rooms, arrows)
    height = max(y for _, y in places.values()) + ROOM[1] + MARGIN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" font-family="sans-serif">',
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0 0L8 4L0 8z" fill="#8795a8"/></marker></defs>',
        f'<rect width="{WIDTH}" height="{height:.0f}" fill="#ffffff"/>',
    ]
    for room in sorted(arrows):
        x, y = places[room][0] + ROOM[0] / 2, places[room][1] + ROOM[1]
        for below in sorted(arrows[room]):
            to_x, to_y = places[below][0] + ROOM[0] / 2, places[below][1]
            bend = (to_y - y) / 2
            parts.append(
                f'<path d="M{x:.0f} {y:.0f}C{x:.0f} {y + bend:.0f} {to_x:.0f} {to_y - bend:.0f} {to_x:.0f} {to_y - 1:.0f}" '
                'fill="none" stroke="#b4bfcd" stroke-width="1.3" marker-end="url(#tip)"/>'
            )
    for room, (x, y) in sorted(places.items()):
        parts.append(f'<rect x="{x:.0f}" y="{y:.0f}" width="{ROOM[0]}" height="{ROOM[1]}" rx="7" fill="#f3f6fa" stroke="#5b6b80"/>')
        parts.append(f'<text x="{x + 10:.0f}" y="{y + 20:.0f}" font-size="14" font-weight="bold" fill="#1d2733">{escape(room)}</text>')
        for line, text in enumerate(textwrap.wrap(purpose(room), LETTERS)[:4]):
            parts.append(f'<text x="{x + 10:.0f}" y="{y + 35 + 12 * line:.0f}" font-size="10.5" fill="#455365">{escape(text)}</text>')
    return "\n".join([*parts, "</svg>", ""])


if __name__ == "__main__":
    PICTURE.write_text(draw(), encoding="utf-8")
