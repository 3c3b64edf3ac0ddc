/**
 * What a detecting thread runs, as text: a thread takes no TypeScript, and the same text serves the source tree and the
 * built package. It gets texts as lists of excerpts and answers with a language and a score for each.
 *
 * eld scores a language by the mean weight r of a text's n-grams in it (it shows r / (r + 25)). Those of several
 * excerpts are averaged; their softmax with temperature 10 says how far the best language stands out, and a mean below
 * 40, which no supported language has in its own texts, counts proportionally less: such texts are in a language that
 * eld does not know, or in none. What that gives is measured in docs/languages.md.
 */
export const DETECTOR_SOURCE = `
const { parentPort, workerData } = require("node:worker_threads");
const ready = import(workerData.eld);

function identify(eld, excerpts) {
  const means = new Map();
  for (const excerpt of excerpts) {
    const scores = eld.detect(excerpt).getScores();
    for (const language in scores) {
      const mean = (25 * scores[language]) / (1 - scores[language]);
      means.set(language, (means.get(language) ?? 0) + mean / excerpts.length);
    }
  }
  let best = "und";
  let most = 0;
  for (const [language, mean] of means) {
    if (mean > most) {
      best = language;
      most = mean;
    }
  }
  if (most === 0) return [best, 0];
  let sum = 0;
  for (const mean of means.values()) sum += Math.exp((mean - most) / 10);
  return [best, Math.min(1, most / 40) / sum];
}

parentPort.on("message", async ({ id, texts }) => {
  try {
    const { eld } = await ready;
    parentPort.postMessage({ id, results: texts.map((excerpts) => identify(eld, excerpts)) });
  } catch (error) {
    parentPort.postMessage({ id, problem: String(error?.stack ?? error) });
  }
});
`;
