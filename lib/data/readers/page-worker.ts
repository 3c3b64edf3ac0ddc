/** What a thread of the page pool runs: pages in, their texts out. */
import { parentPort, workerData } from "node:worker_threads";
import { decodePage } from "./charset.js";
import { extractText, type PageText } from "./main-text.js";

/** Several pages, one behind the other in `bytes`. */
export interface PagesMessage {
  id: number;
  bytes: ArrayBuffer;
  pages: PageEntry[];
}

/** Bytes of a page, and the charset of its HTTP header. */
export type PageEntry = [length: number, charset: string | undefined];

/** The texts of a message's pages, in their order; of a page that failed, why. */
export interface TextsMessage {
  id: number;
  texts: (PageText | { problem: string })[];
}

parentPort?.on("message", ({ id, bytes, pages }: PagesMessage) => {
  const texts: TextsMessage["texts"] = [];
  let at = 0;
  for (const [length, charset] of pages) {
    try {
      texts.push(extractText(decodePage(new Uint8Array(bytes, at, length), charset), workerData.mode));
    } catch (error) {
      texts.push({ problem: (error as Error).message });
    }
    at += length;
  }
  parentPort?.postMessage({ id, texts } satisfies TextsMessage);
});
