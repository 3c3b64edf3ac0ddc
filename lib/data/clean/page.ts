/** The cleaning report as a page for people: what every rule removed, where its threshold lies, and examples. */
import {
  type Cell,
  escapeHtml,
  formatNumber,
  formatShare,
  htmlBar,
  htmlPage,
  htmlTable,
  type PageSection,
  writeReport,
} from "../report-page.js";
import { BINS, Distribution } from "./distribution.js";
import type { CleanExample } from "./examples.js";
import type { CleanReport, CleanReportJson, RuleReport } from "./report.js";
import { CLEAN_RULES } from "./rules.js";

const STYLE = `<style>
:root { --gone: #b5482f; } @media (prefers-color-scheme: dark) { :root { --gone: #e58a6f; } }
.chart { display: block; } .chart .in { fill: var(--mark); } .chart .out { fill: var(--gone); }
.chart line { stroke: var(--ink); stroke-dasharray: 2 2; } .removed .bar { background: var(--gone); }
mark { background: none; color: inherit; border-bottom: 2px solid var(--gone); font-weight: 600; }
.small { font-size: .85rem; opacity: .75; } code { font: 13px ui-monospace, monospace; }
</style>`;

const WIDTH = 4;
const HEIGHT = 36;

/** Distribution of a rule's statistic: bars of the documents it was asked about, removed ones in the other colour. */
function chart(rule: RuleReport): Cell {
  const known = CLEAN_RULES.find(({ name }) => name === rule.name);
  if (known === undefined || rule.tested === 0 || rule.threshold === false) return "";
  const distribution = Distribution.fromJSON(known, rule.distribution);
  const { bins, edges } = distribution;
  const threshold = rule.threshold;
  // Heights by square root, so that a few documents beside many still show.
  const most = Math.sqrt(Math.max(...bins));
  const bars = bins.map((count, bin) => {
    if (count === 0) return "";
    const height = Math.max(1, (HEIGHT * Math.sqrt(count)) / most);
    const middle = (edges[bin] + edges[bin + 1]) / 2;
    const out = rule.comparison === ">" ? middle > threshold : middle < threshold;
    const title = `${formatNumber(edges[bin])} – ${formatNumber(edges[bin + 1])}: ${formatNumber(count)} documents`;
    return (
      `<rect class="${out && rule.removed > 0 ? "out" : "in"}" x="${bin * WIDTH}" y="${(HEIGHT - height).toFixed(1)}" ` +
      `width="${WIDTH - 1}" height="${height.toFixed(1)}"><title>${escapeHtml(title)}</title></rect>`
    );
  });
  const bin = distribution.binOf(threshold);
  const within = (threshold - edges[bin]) / (edges[bin + 1] - edges[bin]);
  const x = (Math.min(BINS, Math.max(0, bin + within)) * WIDTH).toFixed(1);
  const ends = `${formatNumber(edges[0])} … ${formatNumber(edges[BINS])}${known.scale === "log" ? ", logarithmic" : ""}`;
  return {
    html:
      `<svg class="chart" role="img" width="${BINS * WIDTH}" height="${HEIGHT}" viewBox="0 0 ${BINS * WIDTH} ${HEIGHT}">` +
      `<title>${escapeHtml(`${rule.statistic}; ${ends}`)}</title>${bars.join("")}` +
      `<line x1="${x}" x2="${x}" y1="0" y2="${HEIGHT}"/></svg><span class="small">${escapeHtml(ends)}</span>`,
  };
}

const code = (text: string): Cell => ({ html: `<code>${escapeHtml(text)}</code>` });

const condition = (rule: RuleReport) =>
  rule.threshold === false ? "off" : `${rule.comparison} ${formatNumber(rule.threshold)}`;

/** Documents and bytes that are left after each step, from all to those kept. */
function funnel(report: CleanReportJson): string {
  const rows: Cell[][] = [];
  let documents = report.documents;
  let bytes = report.bytes;
  rows.push(["read", documents, "", htmlBar(1, 1), bytes]);
  const steps = new Map<string, RuleReport[]>();
  for (const rule of report.rules) {
    if (rule.threshold === false || (rule.tested === 0 && rule.removed === 0)) continue;
    const [step] = rule.name.split(".");
    steps.set(step, [...(steps.get(step) ?? []), rule]);
  }
  for (const [step, rules] of steps) {
    const removed = rules.reduce((sum, rule) => sum + rule.removed, 0);
    documents -= removed;
    bytes -= rules.reduce((sum, rule) => sum + rule.removedBytes, 0);
    rows.push([
      `after ${step}`,
      documents,
      formatShare(removed, report.documents),
      htmlBar(documents, report.documents),
      bytes,
    ]);
  }
  rows.push([
    "kept, as written out",
    report.kept,
    "",
    htmlBar(report.kept, report.documents),
    report.keptBytes,
  ]);
  return htmlTable(["step", "documents", "removed of all", "", "bytes"], rows);
}

function ruleTable(report: CleanReportJson): string {
  const asked = report.rules.filter((rule) => rule.threshold !== false && rule.tested > 0);
  const most = Math.max(0, ...asked.map((rule) => rule.removed));
  return htmlTable(
    ["rule", "removes", "asked", "removed", "share", "", "bytes", "distribution"],
    asked.map((rule) => [
      {
        html: `<code>${escapeHtml(rule.name)}</code><br><span class="small">${escapeHtml(rule.statistic)}</span>`,
      },
      condition(rule),
      rule.tested,
      rule.removed,
      formatShare(rule.removed, rule.tested),
      { html: `<div class="removed">${htmlBar(rule.removed, most).html}</div>` },
      rule.removedBytes,
      chart(rule),
    ]),
  );
}

/** Examples with the passage marked. */
function exampleList(examples: readonly CleanExample[]): string {
  return examples
    .map(({ source, url, value, before, passage, after }) => {
      const where = [source, ...(url === undefined ? [] : [url])].join(" · ");
      const what = value === undefined ? "" : ` · ${formatNumber(value)}`;
      const text = `${escapeHtml(before)}<mark>${escapeHtml(passage)}</mark>${escapeHtml(after)}`;
      return `<p class="small">${escapeHtml(where + what)}</p><pre>${text}</pre>`;
    })
    .join("\n");
}

function exampleSection(report: CleanReportJson): string {
  const groups = [
    ...report.rules.map((rule) => ({
      name: rule.name,
      head: `${condition(rule)} · ${formatNumber(rule.removed)} documents removed`,
      examples: rule.examples,
    })),
    ...report.lineRules.map((rule) => ({
      name: rule.name,
      head: `${formatNumber(rule.count)} ${rule.effect}`,
      examples: rule.examples,
    })),
    ...report.masks.map((mask) => ({
      name: mask.name,
      head: `${formatNumber(mask.count)} ${mask.effect}; shown as masked`,
      examples: mask.examples,
    })),
  ].filter(({ examples }) => examples.length > 0);
  if (groups.length === 0) return "<p>Nothing was removed or changed, or no examples were asked for.</p>";
  return groups
    .map(
      ({ name, head, examples }) =>
        `<details><summary><code>${escapeHtml(name)}</code> <span class="small">${escapeHtml(head)}</span></summary>` +
        `${exampleList(examples)}</details>`,
    )
    .join("\n");
}

/** The page for a report. */
export function cleanReportPage(report: CleanReportJson): string {
  const { documents, kept, bytes, keptBytes, settings } = report;
  const sections: PageSection[] = [
    { title: "From step to step", html: STYLE + funnel(report) },
    {
      title: "Rules",
      html:
        "<p>In the order in which they are asked; the first that applies removes a document. Bars: documents by the " +
        "rule’s value (heights by square root), with the threshold as a dashed line.</p>" +
        ruleTable(report),
    },
    {
      title: "Lines and passages",
      html: htmlTable(
        ["rule", "what goes", "count", "documents", "bytes"],
        report.lineRules.map((rule) => [
          code(rule.name),
          rule.effect,
          rule.count,
          rule.documents,
          rule.bytes,
        ]),
      ),
    },
    {
      title: "Masked",
      html: htmlTable(
        ["rule", "what is masked", "count", "documents"],
        report.masks.map((mask) => [code(mask.name), mask.effect, mask.count, mask.documents]),
      ),
    },
    { title: "Examples", html: exampleSection(report) },
  ];
  const languages = Object.entries(report.languages);
  if (languages.length > 0) {
    sections.push({
      title: "Languages",
      html: htmlTable(
        ["language", "documents", "share", ""],
        languages.map(([language, count]) => [
          language,
          count,
          formatShare(count, documents),
          htmlBar(count, languages[0][1]),
        ]),
      ),
    });
  }
  const off = report.rules.filter((rule) => rule.threshold === false).map((rule) => rule.name);
  sections.push({
    title: "Settings",
    html:
      `<p>Edited: ${formatNumber(report.edited)} of the kept documents; made uniform before the rules: ` +
      `${formatNumber(report.repaired)}; without a URL where one was asked for: ${formatNumber(report.withoutUrl)}.` +
      `${off.length > 0 ? ` Rules that are off: ${escapeHtml(off.join(", "))}.` : ""}</p>` +
      `<details><summary>All settings</summary><pre>${escapeHtml(JSON.stringify(settings, null, 2))}</pre></details>`,
  });
  const lead =
    `${formatNumber(kept)} of ${formatNumber(documents)} documents kept (${formatShare(kept, documents)}), ` +
    `${formatNumber(keptBytes)} of ${formatNumber(bytes)} bytes (${formatShare(keptBytes, bytes)}).`;
  return htmlPage("Cleaning", lead, sections);
}

/**
 * Writes report.json and report.html into a folder.
 * @throws DataError when the disk refuses; reports that were there stay as they were.
 */
export async function writeCleanReport(report: CleanReport | CleanReportJson, dir: string): Promise<void> {
  const json = "toJSON" in report ? report.toJSON() : report;
  await writeReport(dir, json, cleanReportPage(json));
}
