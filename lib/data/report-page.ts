/**
 * The page that reports of this room are shown on: one self-contained HTML file, light or dark as the reader's system is,
 * without scripts. Everything that comes from outside is escaped.
 */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { writeFileAtomic } from "../io/atomic.js";
import { diskError } from "./disk-error.js";

/** Escapes text for HTML; quotes included, so that it may stand in an attribute. */
export function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);
}

/** A number for people: digits grouped, fractions to three significant digits. */
export function formatNumber(value: number): string {
  if (!Number.isFinite(value)) return "–";
  const rounded =
    Number.isInteger(value) || Math.abs(value) >= 1000 ? Math.round(value) : Number(value.toPrecision(3));
  return rounded.toLocaleString("en-US", { maximumFractionDigits: 10 });
}

/** A share for people. */
export function formatShare(part: number, whole: number): string {
  return whole === 0 ? "–" : `${((100 * part) / whole).toPrecision(3)} %`;
}

/** A cell: text (escaped), a number (grouped and aligned right), or HTML as it is. */
export type Cell = string | number | { html: string };

/** A table; the head's cells are texts. */
export function htmlTable(head: readonly string[], rows: readonly (readonly Cell[])[]): string {
  const cell = (value: Cell) =>
    typeof value === "number"
      ? `<td class="number">${formatNumber(value)}</td>`
      : `<td>${typeof value === "string" ? escapeHtml(value) : value.html}</td>`;
  const line = (cells: string) => `<tr>${cells}</tr>`;
  return (
    `<div class="wide"><table><thead>${line(head.map((name) => `<th>${escapeHtml(name)}</th>`).join(""))}</thead>` +
    `<tbody>${rows.map((row) => line(row.map(cell).join(""))).join("\n")}</tbody></table></div>`
  );
}

/** A bar whose length is a share of its column. */
export function htmlBar(value: number, most: number): { html: string } {
  const share = most > 0 ? Math.max(0, Math.min(1, value / most)) : 0;
  return { html: `<div class="bar" style="width:${(100 * share).toFixed(1)}%"></div>` };
}

/** A stretch of somebody's text, cut to `limit` code units. */
export function htmlExcerpt(text: string, limit = 600): string {
  const cut = text.length > limit ? `${text.slice(0, limit)} …` : text;
  return `<pre>${escapeHtml(cut)}</pre>`;
}

export interface PageSection {
  title: string;
  html: string;
}

const STYLE = `
:root { color-scheme: light dark; --ink: #1c1e21; --paper: #fdfdfc; --soft: #f0efec; --line: #d9d7d2; --mark: #2f6f9f; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e3e2de; --paper: #17181a; --soft: #232528; --line: #3a3d41; --mark: #6fb1de; }
}
body { margin: 0 auto; padding: 2rem 1.25rem 4rem; max-width: 60rem; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.6rem; margin: 0 0 .25rem; } h2 { font-size: 1.15rem; margin: 2.2rem 0 .6rem; }
.lead { margin: 0 0 1rem; opacity: .8; }
.wide { overflow-x: auto; } table { border-collapse: collapse; min-width: 24rem; }
th, td { padding: .3rem .8rem .3rem 0; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top; }
.number { text-align: right; font-variant-numeric: tabular-nums; }
td:has(.bar) { min-width: 12rem; vertical-align: middle; } .bar { height: .7rem; background: var(--mark); border-radius: 2px; }
pre { margin: .3rem 0; padding: .6rem .8rem; background: var(--soft); border-radius: 4px; white-space: pre-wrap;
  overflow-wrap: anywhere; font: 13px/1.45 ui-monospace, monospace; }
details { margin: .4rem 0; } summary { cursor: pointer; }
`;

/** The whole page. */
export function htmlPage(title: string, lead: string, sections: readonly PageSection[]): string {
  const body = sections.map(
    (section) => `<section><h2>${escapeHtml(section.title)}</h2>\n${section.html}</section>`,
  );
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeHtml(title)}</title><style>${STYLE}</style></head>
<body><h1>${escapeHtml(title)}</h1><p class="lead">${escapeHtml(lead)}</p>
${body.join("\n")}
</body></html>
`;
}

/**
 * Writes a report for programs and for people: report.json and report.html.
 * @throws DataError when the disk refuses; reports that were there stay as they were.
 */
export async function writeReport(dir: string, report: unknown, page: string): Promise<void> {
  try {
    await mkdir(dir, { recursive: true });
    await writeFileAtomic(join(dir, "report.json"), `${JSON.stringify(report, null, 2)}\n`);
    await writeFileAtomic(join(dir, "report.html"), page);
  } catch (error) {
    throw await diskError((error as Error).cause ?? error, "report", dir);
  }
}
