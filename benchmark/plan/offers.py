"""Fit the values of dataset entries to the user's data: `all` and `native` become numbers, and what does not exist is left out.

Each change of a number or list of the user's is a note of one line.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from benchmark.errors import InputError, Mistakes, validation_mistakes
from benchmark.plugins.specs import DatasetParams, DatasetSpec, Offer, in_numbers, offer_of
from benchmark.records.record import case_key
from benchmark.storage.json_values import plain

CHOICE = ("size", "views", "heldout")  # parameters that do not change what the data offer


@dataclasses.dataclass(frozen=True)
class CaseWords:
    """Name and one-line outline of a case, known before it is loaded; '' where only loading tells."""

    name: str = ""
    outline: str = ""


class Offers:
    """Offers of the data of one plan, each read once. `notes` collects the changes, `cases` the words for each case key."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.cases: dict[str, CaseWords] = {}
        self._known: dict[str, Offer | None] = {}

    def fitted(
        self, spec: DatasetSpec, values: Mapping[str, Any], where: str, origins: Mapping[str, str], mistakes: Mistakes
    ) -> dict[str, Any] | None:
        """Return the values in numbers that the data can satisfy; None if the data cannot be read, which is then a mistake."""
        try:
            offer = self._of(spec, values)
            if offer is None:
                return {key: value for key, value in values.items() if (key, value) not in (("views", "all"), ("size", "native"))}
            found = {**values}
            for key in ("heldout", "views"):
                self._leave_out(found, key, offer, spec, origins.get(key, f"{where}.{key}"), mistakes)
            found = in_numbers(spec.params, found, offer)
        except InputError as error:
            mistakes.note(error.at(where))
            return None
        self._reduce(found, offer, spec)
        return found

    def describe(self, spec: DatasetSpec, values: Mapping[str, Any], params: DatasetParams) -> None:
        """Note name and outline of the case that the parameters, made of these values, stand for."""
        offer, outline = self._of(spec, values), ""
        if offer is None:
            return
        if offer.outline is not None:
            with contextlib.suppress(InputError):  # loading the case reports it
                outline = offer.outline(params)
        self.cases[case_key(spec.name, spec.revision, plain(params.model_dump()))] = CaseWords(offer.name, outline)

    def defects(self, spec: DatasetSpec, values: Mapping[str, Any]) -> list[str]:
        """Return what is wrong with the data that these values name; nothing if they can be opened, or if only loading them tells."""
        mistakes = Mistakes()
        try:
            self._known[_key(spec, values)] = offer_of(spec.params, values)
        except InputError as error:
            mistakes.note(error)
        except ValidationError as error:
            validation_mistakes(mistakes, error, spec.params, spec.name, {})
        except Exception:  # as in `_of`
            pass
        return [str(error) for error in mistakes.errors]

    def _of(self, spec: DatasetSpec, values: Mapping[str, Any]) -> Offer | None:
        """Return the offer for these values; None if there is none, or if loading the case will tell why not. Raise InputError."""
        key = _key(spec, values)
        if key not in self._known:
            self._known[key] = None
            try:
                self._known[key] = offer_of(spec.params, _asked(values))
            except InputError:
                del self._known[key]
                raise
            except ValidationError:  # of other values, reported where they are checked
                pass
            except Exception:  # a dataset's own code, or a module that it misses: reported where the case is loaded
                pass
        return self._known[key]

    def _leave_out(self, found: dict[str, Any], key: str, offer: Offer, spec: DatasetSpec, where: str, mistakes: Mistakes) -> None:
        """Leave out the indices of a list that do not exist; simulated held-out views count from the end of the nominal circle."""
        listed = found.get(key)
        if not isinstance(listed, list | tuple) or not listed or not all(type(index) is int for index in listed) or min(listed) < 0:
            return
        first = offer.total if offer.simulated and key == "heldout" else 0
        there = [index for index in listed if first <= index < first + offer.total]
        gone = [index for index in listed if index not in there]
        span = f"{first} .. {first + offer.total - 1}"
        if not there:
            del found[key]
            mistakes.add(where, expected=f"view indices {span}", found=str(list(listed)))
        elif gone:
            found[key] = there
            self._note(offer, spec, f"{key} {', '.join(map(str, gone))} left out, only {span} exist")

    def _reduce(self, found: dict[str, Any], offer: Offer, spec: DatasetSpec) -> None:
        """Reduce a number of views to those that exist; say where fewer than the wanted number are free to be held out."""
        heldout: Any = found.get("heldout")
        views: Any = found.get("views", spec.params.model_fields["views"].default)
        if not offer.simulated and _is_number(views):
            exist = len(offer.pool(tuple(heldout) if isinstance(heldout, list) else None))
            if views > exist >= 1:
                self._note(offer, spec, f"{views} views: only {exist} exist for training, all {exist} are used")
                found["views"] = views = exist
        if not _is_number(heldout):
            return
        taken = set(views) if isinstance(views, list | tuple) else set()
        if offer.simulated:
            free = offer.total
        elif offer.heldout is not None:
            free = len(set(offer.heldout) - taken)
        else:
            free = offer.total - (len(taken) or (views if _is_number(views) else 0))
        if heldout > free:
            self._note(offer, spec, f"heldout {heldout}: only {free} views are free, {free} are held out")
            if offer.simulated:
                found["heldout"] = free

    def _note(self, offer: Offer, spec: DatasetSpec, text: str) -> None:
        line = f"{offer.name or spec.name}: {text}"
        if line not in self.notes:
            self.notes.append(line)


def _asked(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if key not in CHOICE}


def _key(spec: DatasetSpec, values: Mapping[str, Any]) -> str:
    return f"{spec.name} {json.dumps(plain(_asked(values)), sort_keys=True)}"


def _is_number(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
