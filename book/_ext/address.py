"""Links to the repository and to the source of each page, where `pyproject.toml` names an address."""

from ntkif.study.pages.address import address, theme_options


def add_address(app, config):
    urls = address()
    config.html_theme_options |= theme_options(urls)
    config.html_baseurl = urls.get("Documentation", "")


def setup(app):
    app.connect("config-inited", add_address)
    return {"parallel_read_safe": True}
