"""The address of the project: one place, and everything that shows it made from there."""

import re

import pytest

from ntkif.provenance import ROOT
from ntkif.study.pages import address

HERE = {"Repository": "https://github.com/who/ntkif", "Documentation": "https://who.github.io/ntkif/"}


@pytest.fixture
def published(tmp_path):
    """A `pyproject.toml` as ours, with an address."""
    text = re.sub(r"\[project\.urls\]\n(?:\w.*\n)*", "", (ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    file = tmp_path / "pyproject.toml"
    file.write_text(text + "\n[project.urls]\n" + "".join(f'{name} = "{url}"\n' for name, url in HERE.items()))
    return file


def test_the_address_is_read_from_one_table(published):
    assert address.address(published) == HERE
    assert address.address() == address.address(ROOT / "pyproject.toml")


def test_without_an_address_nothing_is_shown():
    assert (address.theme_options({}), address.badges({}), address.citation({})) == ({}, "", [])


def test_with_an_address_the_site_links_to_repository_and_sources():
    options = address.theme_options(HERE)
    assert options["repository_url"] == HERE["Repository"]
    assert options["use_repository_button"] and options["use_source_button"]


def test_the_readme_and_the_citation_show_the_address_and_no_other():
    urls, readme = address.address(), (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    shown = [line for line in readme if "badge.svg" in line]
    assert shown == ([address.badges(urls)] if address.badges(urls) else []), "the third line of README.md"
    cited = (ROOT / "CITATION.cff").read_text(encoding="utf-8").splitlines()
    assert [line for line in cited if re.match(r"(repository-code|url):", line)] == address.citation(urls)


def test_badges_are_of_workflows_that_are_there():
    line = address.badges(HERE)
    assert all(f"{name}.yml/badge.svg" in line for name in address.WORKFLOWS) and HERE["Documentation"] in line
    assert all((ROOT / ".github" / "workflows" / f"{name}.yml").exists() for name in address.WORKFLOWS)


def test_the_address_is_typed_nowhere_else():
    """In no page, no workflow and no setting of the site."""
    files = [*ROOT.glob("book/**/*.md"), *ROOT.glob(".github/**/*.yml"), ROOT / "_config.yml", ROOT / "Makefile"]
    urls = set(address.address().values())
    assert not [file for file in files if any(url in file.read_text(encoding="utf-8") for url in urls)]


def test_install_names_the_repository_where_there_is_one(published):
    assert "pip install git+https://github.com/who/ntkif\n" in address.install(published)
    assert '"ntkif[estimators,report] @ git+https://github.com/who/ntkif"' in address.install(published)


def test_install_lists_each_extra():
    text = address.install()
    assert "| `cluster` | `ntkif.regression.cluster`, on processes or machines | distributed |" in text
    assert ("pip install /path/to" in text) == ("Repository" not in address.address())
