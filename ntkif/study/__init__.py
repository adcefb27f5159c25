"""What the book computes, keeps, draws and says. The method, in the other folders, never imports it.

What every page takes stands here, imported on first use: a bare GPU machine, which has no pandas, reads `paper` too.
"""

import importlib

__all__ = ["Claim", "claim_table", "criterion", "in_words", "load_record", "load_recorded", "plain_numbers"]

_PLACES = {
    "Claim": "pages.claims",
    "claim_table": "pages.claims",
    "criterion": "pages.criteria",
    "in_words": "pages.words",
    "load_record": "records.tables",
    "load_recorded": "records.tables",
    "plain_numbers": "pages.words",
}


def __getattr__(name: str):
    if name in _PLACES:
        return getattr(importlib.import_module(f"ntkif.study.{_PLACES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
