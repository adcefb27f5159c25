"""A reference list whose labels are those of the author-year citations in the text."""

from pybtex.plugin import register_plugin
from pybtex.style.formatting.plain import Style
from pybtex.style.labels import BaseLabelStyle


class AuthorYearLabels(BaseLabelStyle):
    def format_labels(self, entries):
        for entry in entries:
            names = [" ".join(person.last_names) for person in entry.persons["author"]]
            authors = names[0] + " et al." if len(names) > 2 else " and ".join(names)
            yield f"{authors}, {entry.fields['year']}"


class AuthorYearStyle(Style):
    default_label_style = AuthorYearLabels
    default_sorting_style = "author_year_title"


def setup(app):
    register_plugin("pybtex.style.formatting", "author_year", AuthorYearStyle)
    return {"parallel_read_safe": True}
