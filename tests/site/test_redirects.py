"""Addresses of pages that are no longer there: each leads to a page and a part of it that are there."""

import re

import pytest
import yaml

from ntkif.provenance import ROOT

SITE = ROOT / "_build" / "html"
REDIRECTS = yaml.safe_load((ROOT / "_config.yml").read_text())["sphinx"]["config"]["redirects"]


@pytest.mark.parametrize("old", REDIRECTS)
def test_an_old_address_leads_to_a_part_of_a_page(old):
    page = (SITE / f"{old}.html").read_text()
    name, _, part = REDIRECTS[old].partition("#")
    target = (SITE / old).parent / name
    assert f'content="0; url={REDIRECTS[old]}"' in page and f'<a href="{REDIRECTS[old]}">' in page
    assert target.exists() and (not part or re.search(rf'id="{part}"', target.read_text()))
    assert f"{old}\n" not in (ROOT / "_toc.yml").read_text()
