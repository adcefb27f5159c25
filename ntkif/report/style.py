"""How the page looks, by light, by dark, on a phone and on paper."""

__all__ = ["STYLE"]

STYLE = """
:root { color-scheme: light dark; --ink: #1c2330; --soft: #566072; --paper: #fdfdfb; --card: #f2f3f0; --line: #d3d6d8;
  --blue: #1f5f99; --red: #a8341f; --photo: #fff; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e8ec; --soft: #a7b0bd; --paper: #14171c; --card: #1f242b;
  --line: #3a424d; --blue: #7fb6e6; --red: #f0907c; --photo: #f4f4f4; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 1rem/1.5 system-ui, "Segoe UI", Roboto,
  "Noto Sans", sans-serif; }
main, footer { max-width: 62rem; margin: 0 auto; padding: 1.5rem 1rem; }
footer { color: var(--soft); font-size: .875rem; border-top: 1px solid var(--line); overflow-wrap: anywhere; }
h1 { font-size: 1.75rem; line-height: 1.2; margin: .5rem 0; overflow-wrap: anywhere; }
h2 { font-size: 1.3rem; margin: 2.5rem 0 .5rem; }
h3 { font-size: 1rem; margin: 0 0 .25rem; overflow-wrap: anywhere; }
p { max-width: 44rem; margin: .5rem 0; }
a { color: var(--blue); }
nav ul { display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; padding: 0; margin: 1rem 0; list-style: none; }
nav a { display: inline-block; padding: .25rem 0; }
dl.numbers { display: grid; grid-template-columns: repeat(auto-fit, minmax(8.5rem, 1fr)); gap: .75rem; }
dl.numbers div { background: var(--card); border-radius: .5rem; padding: .75rem; }
dl.numbers dt { color: var(--soft); font-size: .875rem; }
dl.numbers dd { margin: 0; font-size: 1.25rem; font-weight: 600; overflow-wrap: anywhere; }
ol.cards { list-style: none; padding: 0; display: grid; grid-template-columns: repeat(auto-fill, minmax(18.5rem, 1fr));
  gap: .75rem; }
ol.cards > li { background: var(--card); border-radius: .5rem; padding: .75rem; min-width: 0; }
.row { display: flex; gap: .75rem; align-items: flex-start; }
.row > * { min-width: 0; }
.row > figure { flex: none; }
.strip { display: grid; grid-template-columns: repeat(3, 1fr); gap: .5rem; padding: 0; margin: .25rem 0;
  list-style: none; font-size: .875rem; }
.strip li { min-width: 0; overflow-wrap: anywhere; }
.strip.plain { display: block; }
figure { margin: 0; }
th figure, td figure { display: inline-block; vertical-align: middle; margin-right: .5rem; }
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(27rem, 100%), 1fr)); gap: 0 1.5rem; }
.pair > * { min-width: 0; }
figcaption { font-size: .8125rem; overflow-wrap: anywhere; }
img { display: block; width: 4rem; height: 4rem; object-fit: contain; background: var(--photo);
  image-rendering: pixelated; border: 1px solid var(--line); }
.row > figure img { width: 6rem; height: 6rem; }
td img, th img { width: 3rem; height: 3rem; }
.soft { color: var(--soft); font-size: .875rem; margin: .25rem 0; }
.scroll { overflow-x: auto; margin: .75rem 0; }
table { border-collapse: collapse; font-size: .9375rem; font-variant-numeric: tabular-nums; }
caption { text-align: left; color: var(--soft); font-size: .875rem; padding-bottom: .25rem; }
th, td { text-align: left; padding: .3rem .6rem .3rem 0; border-bottom: 1px solid var(--line);
  vertical-align: middle; }
thead th { border-bottom: 2px solid var(--line); vertical-align: bottom; }
tbody th { font-weight: 400; white-space: nowrap; }
.number { text-align: right; white-space: nowrap; }
details { margin: .5rem 0; }
summary { cursor: pointer; padding: .25rem 0; color: var(--blue); }
svg { display: block; width: 100%; max-width: 44rem; height: auto; }
svg text { fill: var(--soft); font-size: 13px; }
svg line { stroke: var(--ink); stroke-dasharray: 3 3; }
svg .high { fill: var(--blue); }
svg .low { fill: url(#hatch); stroke: var(--red); }
svg .back { fill: var(--paper); }
svg .stripe { fill: var(--red); }
:focus-visible { outline: 2px solid var(--blue); outline-offset: 2px; }
@media (max-width: 40rem) { svg text { font-size: 24px; } table { font-size: .8125rem; }
  th, td { padding-right: .4rem; } }
@media print { details > * { display: block; } body { background: #fff; color: #000; } }
"""
