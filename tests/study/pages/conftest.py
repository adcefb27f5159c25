"""Notebooks as the pages read them."""

import pytest
from IPython.core.formatters import DisplayFormatter

from ntkif.study.pages.claims import claim_table


@pytest.fixture
def notebook_with():
    """Of claims, as Jupyter writes it: the outputs of a cell that ends in their table."""

    def notebook(claims):
        data, _ = DisplayFormatter().format(claim_table(*claims))
        return {"cells": [{"cell_type": "markdown"}, {"cell_type": "code", "outputs": [{"data": data}]}]}

    return notebook
