"""How a page looks: light or dark as the reader's system is, wide or narrow, on paper."""

_PAGE = """
:root {
  color-scheme: light dark;
  --page: #f6f5f2; --card: #ffffff; --ink: #1d1f24; --soft: #5d626d; --line: #dedcd6;
  --accent: #3565c4; --bad: #b3261e; --check: #d9d9d9; --blank: #ffffff;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #15171b; --card: #1e2127; --ink: #e9e8e4; --soft: #a3a8b3; --line: #343841;
    --accent: #86aefc; --bad: #ff9d92; --check: #40444d; --blank: #2a2d34;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; background: var(--page); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif;
}
header, main, footer { max-width: 1120px; margin: 0 auto; padding: 0 24px; }
header { padding-top: 40px; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 6px; letter-spacing: -0.01em; }
h2 { font-size: 1.2rem; margin: 0 0 10px; }
.lead { margin: 0; color: var(--soft); font-size: 1.05rem; }
section {
  background: var(--card); border: 1px solid var(--line); border-radius: 12px;
  padding: 22px 24px; margin: 22px 0;
}
footer { color: var(--soft); font-size: 0.85rem; padding-bottom: 40px; }

.strip { display: grid; grid-template-columns: repeat(auto-fill, minmax(310px, 1fr)); gap: 20px;
  list-style: none; margin: 0; padding: 0; }
.strip li { border: 1px solid var(--line); border-radius: 10px; padding: 12px; }
figure { margin: 0; }
.pair { display: grid; grid-template-columns: 1fr 1fr; gap: 10px; align-items: start; }
.pair figure { min-width: 0; }
.pair img { max-width: 100%; height: auto; border-radius: 6px; display: block; }
.pair .missing { width: 100%; min-height: 120px; display: grid; place-items: center;
  text-align: center; padding: 14px; border: 1px dashed var(--line); border-radius: 6px;
  color: var(--soft); font-size: 0.8rem; overflow-wrap: anywhere; }
.strip .frame { aspect-ratio: 1; display: grid; place-items: center; min-height: 0;
  background: var(--page); border-radius: 6px; overflow: hidden; }
.strip .frame img { max-height: 100%; width: auto; border-radius: 2px; }
.strip .frame .missing { height: 100%; }
.strip .frame .pixelated { width: 100%; object-fit: contain; }
.large { grid-template-columns: repeat(2, minmax(0, max-content)); }
.pair figcaption { color: var(--soft); font-size: 0.8rem; margin-top: 4px; }
.pixelated { image-rendering: pixelated; }
.strip p { margin: 8px 0 0; line-height: 1.4; }
.strip .facts { color: var(--soft); font-size: 0.85rem; margin-top: 4px;
  font-variant-numeric: tabular-nums; }
.strip .facts b { color: var(--ink); }

.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(300px, 1fr)); gap: 24px; }
.charts figcaption { font-weight: 600; margin-bottom: 6px; }
.columns { display: grid; grid-template-columns: repeat(auto-fit, minmax(300px, 1fr)); gap: 32px; }
"""

PARTS = """
.note { color: var(--soft); margin: -4px 0 14px; max-width: 75ch; }
.path { overflow-wrap: anywhere; font-family: ui-monospace, "DejaVu Sans Mono", Menlo, monospace;
  font-size: 0.86em; }
.figures { display: grid; grid-template-columns: repeat(auto-fill, minmax(165px, 1fr));
  gap: 20px 24px; margin: 0; }
.figures div { border-left: 3px solid var(--line); padding-left: 12px; }
.figures .alert { border-color: var(--bad); }
.figures dt { color: var(--soft); font-size: 0.85rem; }
.figures dd { margin: 0; }
.figures .value { font-size: 1.4rem; font-weight: 600; font-variant-numeric: tabular-nums;
  line-height: 1.3; }
.figures .more { color: var(--soft); font-size: 0.85rem; }

.spread { display: flex; height: 34px; border-radius: 8px; overflow: hidden;
  border: 1px solid var(--line); margin-bottom: 16px; }
.spread i { display: block; min-width: 0; }
.swatches { display: grid; grid-template-columns: repeat(auto-fill, minmax(178px, 1fr));
  gap: 10px 14px; list-style: none; margin: 0; padding: 0; }
.swatches li { display: grid; grid-template-columns: 40px 1fr; column-gap: 9px;
  align-items: center; line-height: 1.25; }
.swatches .chip { height: 40px; border-radius: 7px; border: 1px solid var(--line);
  grid-row: span 2; }
.swatches code { font-size: 0.8rem; align-self: end; }
.swatches .count { color: var(--soft); font-size: 0.75rem; align-self: start;
  white-space: nowrap; font-variant-numeric: tabular-nums; }
.chip, .checks img { background-color: var(--blank); background-image:
  conic-gradient(var(--check) 25%, transparent 0 50%, var(--check) 0 75%, transparent 0);
  background-size: 14px 14px; }
.chip b { display: block; height: 100%; border-radius: 6px; }

svg { width: 100%; height: auto; display: block; }
svg .bar { fill: var(--accent); }
svg .grid { stroke: var(--line); }
svg .axis { stroke: var(--soft); }
svg text { fill: var(--soft); font: 12px system-ui, sans-serif; }
svg .name { fill: var(--ink); font-size: 13px; }
svg .middle { text-anchor: middle; }
svg .end { text-anchor: end; }

.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: 0.92rem; }
caption { text-align: left; font-weight: 600; padding-bottom: 6px; }
th, td { padding: 6px 10px; border-bottom: 1px solid var(--line); text-align: left;
  vertical-align: top; font-weight: 400; }
th:first-child, td:first-child { padding-left: 0; }
thead th { color: var(--soft); font-size: 0.82rem; white-space: nowrap; }
.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.share { display: inline-block; height: 8px; border-radius: 4px; background: var(--accent);
  min-width: 1px; vertical-align: middle; }
.quarantined th { width: 40%; }
"""
"""Rules of what a page is made of, without those of the page: a notebook shows such parts, too."""

_MEDIA = """
@media (max-width: 600px) {
  header, main, footer { padding-left: 14px; padding-right: 14px; }
  header { padding-top: 24px; }
  section { padding: 16px 14px; }
  .strip { grid-template-columns: 1fr; }
  .figures { grid-template-columns: repeat(auto-fill, minmax(130px, 1fr)); gap: 14px 16px; }
  .figures .value { font-size: 1.2rem; }
  .large { grid-template-columns: 1fr; }
  .swatches { grid-template-columns: repeat(auto-fill, minmax(132px, 1fr)); }
  .swatches .count { white-space: normal; }
}
@media print {
  :root { --page: #fff; --card: #fff; --ink: #000; --soft: #444; --line: #bbb; --accent: #3565c4;
    --bad: #b3261e; --check: #d9d9d9; --blank: #fff; color-scheme: light; }
  body { font-size: 10pt; }
  header, main, footer { max-width: none; padding: 0; }
  section { border: 0; padding: 0; }
  .strip li, .figures div, tr, svg, .charts figure { break-inside: avoid; }
  h2, .note { break-after: avoid; }
  .strip { grid-template-columns: 1fr 1fr; }
  .chip b, .spread i, .share, svg .bar { print-color-adjust: exact;
    -webkit-print-color-adjust: exact; }
}
"""

STYLE = _PAGE + PARTS + _MEDIA
"""Rules of the page; no colour but those of the palette is set anywhere else."""
