"""Where the project is published, and what says so. The address is typed once: `[project.urls]` of `pyproject.toml`."""

import tomllib
from pathlib import Path

from ntkif.provenance import ROOT

__all__ = ["WORKFLOWS", "address", "badges", "citation", "install", "theme_options"]

_PYPROJECT = ROOT / "pyproject.toml"
#: Files under `.github/workflows` whose state the README shows, and what the badge says.
WORKFLOWS = {"tests": "tests", "site": "site"}
_EXTRAS = {
    "estimators": "`NTKInfluence` and `NTKInfluenceClassifier`, the face of scikit-learn",
    "report": "`python -m ntkif report`, on tables and folders of images",
    "cluster": "`ntkif.regression.cluster`, on processes or machines",
    "study": "the digits that the pages compute on, tables, figures, and everything under `ntkif.study`",
}


def address(file: Path = _PYPROJECT) -> dict[str, str]:
    """The entries of `[project.urls]`: Repository, of the code, and Documentation, of the site. None while absent.

    >>> sorted(address().keys() - {"Repository", "Documentation"})
    []
    """
    return _project(file).get("urls", {})


def theme_options(urls: dict[str, str]) -> dict:
    """Options of the site's theme for a link to the repository and, on each page, to its source; none without one."""
    if "Repository" not in urls:
        return {}
    shown = {"use_repository_button": True, "use_source_button": True}
    return {"repository_url": urls["Repository"], "repository_branch": "main", "path_to_docs": ""} | shown


def badges(urls: dict[str, str]) -> str:
    """The line of the README that shows the state of the workflows and leads to the site; empty without a repository.

    >>> badges({"Repository": "https://github.com/who/ntkif", "Documentation": "https://who.github.io/ntkif/"})[:94]
    '[![tests](https://github.com/who/ntkif/actions/workflows/tests.yml/badge.svg)](https://github.'
    """
    if "Repository" not in urls:
        return ""
    runs = (f"{urls['Repository']}/actions/workflows/{file}.yml" for file in WORKFLOWS)
    shown = [f"[![{words}]({run}/badge.svg)]({run})" for run, words in zip(runs, WORKFLOWS.values(), strict=True)]
    return " ".join(shown + [f"[Read the book]({site})" for site in [urls.get("Documentation")] if site])


def citation(urls: dict[str, str]) -> list[str]:
    """The lines of CITATION.cff that name the addresses."""
    keys = {"Repository": "repository-code", "Documentation": "url"}
    return [f'{keys[name]}: "{url}"' for name, url in urls.items()]


def install(file: Path = _PYPROJECT) -> str:
    """How the package is installed in a project of one's own, and what its extras are for."""
    project = _project(file)
    bare, some = _commands(project.get("urls", {}).get("Repository"))
    lines = [
        "```sh",
        f"pip install {bare}",
        f'pip install "{some}"',
        "```",
        "",
        "The second brings two of the extras.",
        "",
    ]
    lines += ["| extra | for | brings |", "|---|---|---|"]
    extras = project["optional-dependencies"]
    lines += [f"| `{name}` | {_EXTRAS[name]} | {', '.join(brought)} |" for name, brought in extras.items()]
    return "\n".join(lines) + "\n"


def _commands(repository: str | None) -> tuple[str, str]:
    if repository is None:
        return "/path/to/this/repository", "/path/to/this/repository[estimators,report]"
    return f"git+{repository}", f"ntkif[estimators,report] @ git+{repository}"


def _project(file: Path) -> dict:
    return tomllib.loads(file.read_text(encoding="utf-8"))["project"]
