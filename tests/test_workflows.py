"""What a public host runs cannot run here: the files are held to the README, to `pyproject.toml` and to themselves."""

import importlib.util
import re
import tomllib

import pytest
import yaml

from ntkif.provenance import ROOT

FOLDER = ROOT / ".github"
FILES = sorted(FOLDER.glob("workflows/*.yml"))
TEXTS = {file.stem: file.read_text(encoding="utf-8") for file in FILES}
FLOWS = {name: yaml.safe_load(text) for name, text in TEXTS.items()}
JOBS = {f"{flow}: {name}": job for flow, found in FLOWS.items() for name, job in found["jobs"].items()}
MACHINE = FLOWS["tests"]["jobs"]["machine"]


def commands(job: dict) -> list[str]:
    return [line for step in job["steps"] for line in step.get("run", "").splitlines()]


def test_the_two_commands_of_the_readme_run_on_every_machine():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    two = re.findall(r"^(make \w+) +#", readme, flags=re.MULTILINE)
    assert len(two) == 2 and set(two) <= set(commands(MACHINE))
    machines = MACHINE["strategy"]["matrix"]["machine"]
    assert [re.sub(r"-?[\d.]+", "", name, count=1) for name in machines] == ["ubuntu", "ubuntu-arm", "macos"]


def test_the_pythons_are_those_of_the_package():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    low, high = map(int, re.fullmatch(r">=3\.(\d+),<3\.(\d+)", project["requires-python"]).groups())
    assert MACHINE["strategy"]["matrix"]["python"] == [f"3.{minor}" for minor in range(low, high)]


@pytest.mark.parametrize("name", JOBS)
def test_make_has_what_a_job_calls(name):
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = [line.split()[1] for line in commands(JOBS[name]) if line.startswith("make ")]
    assert all(re.search(rf"^{target}:", makefile, re.MULTILINE) for target in targets)
    needed = JOBS[name].get("needs", [])
    assert {
        f"{name.partition(':')[0]}: {job}" for job in ([needed] if isinstance(needed, str) else needed)
    } <= JOBS.keys()


@pytest.mark.parametrize("name", JOBS)
def test_a_job_can_read_no_more_than_it_must_and_ends(name):
    job, flow = JOBS[name], FLOWS[name.partition(":")[0]]
    granted = job.get("permissions", flow["permissions"])
    wanted = {"pages": "write", "id-token": "write"} if name == "site: publish" else {"contents": "read"}
    assert granted == wanted and job["timeout-minutes"] <= 90
    assert "concurrency" in flow


@pytest.mark.parametrize("name", TEXTS)
def test_actions_are_pinned_by_commit_and_the_same_everywhere(name):
    used = re.findall(r"uses: (.*)", TEXTS[name])
    assert used and all(re.fullmatch(r"actions/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", each) for each in used)
    everywhere = {each for text in TEXTS.values() for each in re.findall(r"uses: (.*)", text)}
    assert len(everywhere) == len({each.partition("@")[0] for each in everywhere})


@pytest.mark.parametrize("name", TEXTS)
def test_what_an_expression_names_is_there(name):
    matrix = {key for job in FLOWS[name]["jobs"].values() for key in job.get("strategy", {}).get("matrix", {})}
    steps = {step.get("id") for job in FLOWS[name]["jobs"].values() for step in job["steps"]}
    for expression in re.findall(r"\$\{\{(.*?)\}\}", TEXTS[name]):
        assert expression.count("(") == expression.count(")")
        assert set(re.findall(r"\bmatrix\.(\w+)", expression)) <= matrix
        assert set(re.findall(r"\bsteps\.(\w+)", expression)) <= steps


def test_no_machine_with_linux_downloads_cuda():
    for name, job in JOBS.items():
        if any(re.match("make|pip", line) for line in commands(job)):
            assert "https://download.pytorch.org/whl/cpu" in job["env"]["PIP_EXTRA_INDEX_URL"], name


REPORT = """<testsuites><testsuite>
<testcase classname="notebooks.figure-1-good.ipynb" name="Cell 0" time="1.2"/>
<testcase classname="notebooks.theorem-bad.ipynb" name="Cell 0" time="0.2"/>
<testcase classname="notebooks.theorem-bad.ipynb" name="Cell 1" time="0.9"><failure message="m">#x1B[91mCell 1: differ
'3' == '2'#x1B[0m
</failure></testcase>
</testsuite></testsuites>"""


def test_the_summary_shows_the_notebooks_and_what_failed(tmp_path):
    spec = importlib.util.spec_from_file_location("summary", FOLDER / "summary.py")
    summary = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(summary)
    (tmp_path / "junit.xml").write_text(REPORT)
    rows, _, failed = summary.table(tmp_path / "junit.xml").partition("\n\n")
    assert rows.splitlines()[2:] == ["| theorem-bad | 2 | 1 | 1 |", "| figure-1-good | 1 | 1 | 1 |"]
    assert failed == "**theorem-bad**, Cell 1\n\n~~~~\nCell 1: differ\n'3' == '2'\n~~~~"
