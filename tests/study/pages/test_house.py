"""The plan of the package as it is drawn: every part has its floor, and every folder says what lives there."""

from ntkif.study.pages.house import FLOOR, PACKAGE, arrows, folders, part

MODULES = sorted(PACKAGE.rglob("*.py"))


def test_the_rule_names_every_part_and_sees_what_is_imported():
    named = {part(".".join(file.relative_to(PACKAGE).with_suffix("").parts)) for file in MODULES}
    assert named - {"__init__", "study"} == set(FLOOR)
    found = arrows()
    assert found["influence", "regression"] > 2 and found["regression", "influence"] == 0
    assert found["__main__", "records"] > 0  # inside functions too


def test_each_folder_says_what_lives_there_in_the_order_of_the_rule():
    found = folders()
    assert list(found)[:3] == ["data", "networks", "kernels"] and list(found)[-1] == "study/pages"
    assert len(found) == len({file.parent for file in MODULES}) - 1
    assert all(40 < len(text) < 400 for text in found.values())
