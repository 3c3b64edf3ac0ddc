/** Web pages: one document a file, its main text. */
import { setImmediate } from "node:timers/promises";
import { AnnealError } from "../../errors.js";
import { decodePage } from "./charset.js";
import { extractText, extractTextInSteps, type PageText } from "./main-text.js";
import { damaged, type ReaderInput, type ReaderSettings, type TextDocument } from "./reader.js";

/** Pages above this many characters are worked through piece by piece, so that other work gets its turn. */
const STEPWISE = 2 ** 18;

/** Reads web pages. */
export async function* readHtml(input: ReaderInput): AsyncGenerator<TextDocument[]> {
  const { path, chunks, settings, pages } = input;
  const held: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of chunks) {
    held.push(chunk);
    bytes += chunk.length;
    if (bytes > settings.maxRecordBytes) {
      throw damaged(
        `${path} has more than ${settings.maxRecordBytes} bytes, too many for a web page. Raise maxRecordBytes, or say what it ` +
          "is with the option format.",
        { path, offset: settings.maxRecordBytes },
      );
    }
  }
  const content = held.length === 1 ? held[0] : Buffer.concat(held);
  let page: PageText;
  try {
    page = await (pages?.add(content)?.result() ?? pageText(content, undefined, settings));
  } catch (error) {
    throw pageDamage(error, path, { path, offset: 0 });
  }
  const metadata = settings.metadata ? pageMetadata(page) : undefined;
  yield [{ text: page.text, source: path, ...(metadata && { metadata }) }];
}

/** The text of a page as the settings want it, on this thread. */
export async function pageText(
  bytes: Uint8Array,
  charset: string | undefined,
  settings: ReaderSettings,
): Promise<PageText> {
  const html = decodePage(bytes, charset);
  if (html.length <= STEPWISE) return extractText(html, settings.html);
  return extractTextInSteps(html, settings.html, () => setImmediate());
}

/** The error for a page whose text cannot be taken; one that says already that it is not the page's fault stays. */
export function pageDamage(error: unknown, where: string, details: Parameters<typeof damaged>[1]): Error {
  if (error instanceof AnnealError) return error;
  return damaged(`${where}: its text cannot be taken (${(error as Error).message}).`, details, error);
}

/** What a page says of itself; undefined when it says nothing. */
export function pageMetadata({ title, language }: PageText): Record<string, unknown> | undefined {
  if (title === undefined && language === undefined) return undefined;
  return { ...(title !== undefined && { title }), ...(language !== undefined && { language }) };
}
