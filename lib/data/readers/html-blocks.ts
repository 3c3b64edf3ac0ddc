/**
 * Cuts a web page into blocks of text (paragraphs, headings, list items, table rows, code), each with what is known of its
 * surroundings. Works on the tokens of htmlparser2 with a stack of its own: broken markup closes what it must, nesting
 * beyond what browsers allow is ignored, and every step costs the same however deep the page is.
 */
import { Tokenizer, type TokenizerCallbacks } from "htmlparser2";
import { type Block, CLOSES, type Entry, type Page, ROOT, type Row } from "./html-elements.js";
import {
  BLOCKS,
  DROPPED,
  isMain,
  isSite,
  isSuspect,
  isUnseen,
  type RegionAttributes,
  VOID,
} from "./html-regions.js";

/** Deepest nesting that is followed, as in browsers. */
const MAX_DEPTH = 512;
/** Cells longer than this are text, not data. */
const MAX_CELL = 200;
/** Markup given to the tokenizer at once by the stepwise parser. */
const STEP = 2 ** 17;

/** Stands for a line break while the text's own line ends, which mean nothing, are still there. */
const BREAK = "\u2028";

const HEADING = /^h[1-6]$/;
const PARAGRAPHS = ["p", "h1", "h2", "h3", "h4", "h5", "h6"];
const PRESERVED = new Set(["pre", "listing", "xmp", "plaintext"]);
const ATTRIBUTES = new Set(
  "class id role style hidden aria-hidden href lang content property name alttext start http-equiv".split(
    " ",
  ),
);

/** The blocks of a page. */
export function pageBlocks(html: string): Page {
  const builder = new BlockBuilder(html);
  builder.tokenizer.write(html);
  return builder.finish();
}

/** The same for a large page, with a pause between pieces of it. */
export async function pageBlocksInSteps(html: string, pause: () => Promise<void>): Promise<Page> {
  const builder = new BlockBuilder(html);
  for (let at = 0; at < html.length; at += STEP) {
    builder.tokenizer.write(html.slice(at, at + STEP));
    await pause();
  }
  return builder.finish();
}

/** Builds blocks from tokens. Positions count from the beginning of the page. */
class BlockBuilder implements TokenizerCallbacks {
  readonly tokenizer: Tokenizer;
  private readonly blocks: Block[] = [];
  private readonly stack: Entry[] = [ROOT];
  /** How many elements of each name are open, so that stray closing tags cost nothing. */
  private readonly open = new Map<string, number>();
  /** Elements that are too deep to be on the stack, by name. */
  private readonly deep = new Map<string, number>();
  private deepCount = 0;
  private tag = "";
  private attribute = "";
  private value = "";
  private attributes: RegionAttributes = {};
  private text: string[] = [];
  private linked = 0;
  /** Whether the text ends in a line break. */
  private broken = false;
  private foreign = 0;
  private mains = 0;
  private forms = 0;
  private groups = 0;
  private title: string[] | undefined;
  private titleDone = false;
  private socialTitle: string | undefined;
  private language: string | undefined;

  constructor(private readonly html: string) {
    this.tokenizer = new Tokenizer({}, this);
  }

  finish(): Page {
    this.tokenizer.end();
    while (this.stack.length > 1) this.pop();
    this.flush();
    const own = this.title?.join("").replace(/\s+/g, " ").trim();
    const title = own || this.socialTitle?.replace(/\s+/g, " ").trim();
    return {
      blocks: this.blocks,
      ...(title && { title }),
      ...(this.language && { language: this.language }),
    };
  }

  isInForeignContext(): boolean {
    return this.foreign > 0;
  }

  ontext(start: number, end: number): void {
    this.add(this.html.slice(start, end));
  }

  ontextentity(codePoint: number): void {
    this.add(String.fromCodePoint(codePoint));
  }

  oncdata(start: number, end: number, endOffset: number): void {
    if (this.foreign > 0) this.add(this.html.slice(start, end - endOffset));
  }

  onopentagname(start: number, end: number): void {
    this.tag = this.html.slice(start, end).toLowerCase();
    this.attributes = {};
  }

  onattribname(start: number, end: number): void {
    this.attribute = this.html.slice(start, end).toLowerCase();
    this.value = "";
  }

  onattribdata(start: number, end: number): void {
    if (ATTRIBUTES.has(this.attribute)) this.value += this.html.slice(start, end);
  }

  onattribentity(codePoint: number): void {
    if (ATTRIBUTES.has(this.attribute)) this.value += String.fromCodePoint(codePoint);
  }

  onattribend(): void {
    if (ATTRIBUTES.has(this.attribute)) this.attributes[this.attribute] ??= this.value;
  }

  onopentagend(): void {
    this.openElement(this.tag, this.attributes);
  }

  onselfclosingtag(): void {
    this.openElement(this.tag, this.attributes);
    // In HTML a slash means nothing; in SVG and MathML it closes.
    if (this.foreign > 0 && !VOID.has(this.tag)) this.closeElement(this.tag);
  }

  onclosetag(start: number, end: number): void {
    this.closeElement(this.html.slice(start, end).toLowerCase());
  }

  oncomment(): void {}
  ondeclaration(): void {}
  onprocessinginstruction(): void {}
  onend(): void {}

  private get top(): Entry {
    return this.stack[this.stack.length - 1];
  }

  private add(text: string): void {
    const { top } = this;
    if (top.name === "title" && this.foreign === 0 && !this.titleDone) {
      this.title ??= [];
      this.title.push(text);
    }
    if (top.dropped) return;
    this.text.push(text);
    if (this.broken && /\S/.test(text)) this.broken = false;
    if (top.link) this.linked += text.trim().length;
  }

  private openElement(name: string, attributes: RegionAttributes): void {
    if (name === "br") {
      this.lineBreak();
      return;
    }
    if (VOID.has(name)) {
      if (name === "hr") this.flush();
      if (name === "meta" && attributes.property === "og:title") this.socialTitle ??= attributes.content;
      return;
    }
    const block = BLOCKS.has(name);
    if (block) {
      this.flush();
      this.closeImplied(name);
    } else if (name === "a" && this.count("a") > 0) {
      this.closeElement("a");
    }
    if (name === "html" && attributes.lang) this.language ??= attributes.lang.trim();
    if (this.stack.length >= MAX_DEPTH) {
      this.deep.set(name, (this.deep.get(name) ?? 0) + 1);
      this.deepCount++;
      return;
    }
    const parent = this.top;
    const entry: Entry = { ...parent, name, block };
    this.setRegions(entry, parent, attributes);
    if (name === "a" && attributes.href !== undefined) entry.link = true;
    if (PRESERVED.has(name)) entry.pre = true;
    if (HEADING.test(name)) entry.heading = Number(name[1]);
    if (name === "math" && !entry.dropped) {
      if (attributes.alttext !== undefined) this.text.push(attributes.alttext);
      entry.dropped = attributes.alttext !== undefined;
    }
    if (name === "svg" || name === "math") this.foreign++;
    this.setStructure(entry, name, attributes);
    this.stack.push(entry);
    this.open.set(name, this.count(name) + 1);
  }

  private setRegions(entry: Entry, parent: Entry, attributes: RegionAttributes): void {
    const { name } = entry;
    if (parent.dropped) return;
    if (DROPPED.has(name) || name === "head" || name === "title" || isUnseen(name, attributes)) {
      // A page whose body says it is hidden shows it by a script.
      entry.dropped = !(name === "body" || name === "html");
      return;
    }
    if (isMain(name, attributes) && parent.main === 0) entry.main = ++this.mains;
    if (isSite(name, attributes, parent.main > 0)) entry.site = true;
    if (isSuspect(name, attributes)) entry.suspect = true;
    if (name === "form") entry.form = ++this.forms;
  }

  private setStructure(entry: Entry, name: string, attributes: RegionAttributes): void {
    if (name === "ul" || name === "ol" || name === "menu" || name === "dir") {
      const depth = entry.list === undefined ? 0 : entry.list.depth + 1;
      const first = Number.parseInt(attributes.start ?? "1", 10);
      const group = entry.list?.group ?? ++this.groups;
      entry.list = { ordered: name === "ol", next: Number.isSafeInteger(first) ? first : 1, depth, group };
      entry.item = undefined;
    } else if (name === "li") {
      const { list } = entry;
      const indent = "  ".repeat(Math.min(list?.depth ?? 0, 8));
      entry.item = { mark: list?.ordered ? `${indent}${list.next++}. ` : `${indent}- ` };
    } else if (name === "table") {
      entry.table = ++this.groups;
      if (entry.row !== undefined) entry.row.simple = false;
      entry.list = undefined;
      entry.item = undefined;
    } else if (name === "tr") {
      entry.row = { outer: entry.row, blocks: [], cells: 0, simple: true };
    } else if ((name === "td" || name === "th") && entry.row !== undefined) {
      entry.row.cells++;
    }
  }

  /** Closes what cannot be open around a new block. */
  private closeImplied(name: string): void {
    // Paragraphs and headings hold no blocks.
    if (PARAGRAPHS.some((paragraph) => this.count(paragraph) > 0)) {
      this.closeWithin(PARAGRAPHS, ["td", "th", "li", "table", "blockquote", "body"]);
    }
    const rule = CLOSES[name];
    if (rule?.ends.some((end) => this.count(end) > 0)) this.closeWithin(rule.ends, rule.within);
  }

  /** Closes the innermost of some elements, unless one of others comes first. */
  private closeWithin(ends: readonly string[], within: readonly string[]): void {
    for (let i = this.stack.length - 1; i > 0; i--) {
      const { name } = this.stack[i];
      if (ends.includes(name)) {
        while (this.stack.length > i) this.pop();
        return;
      }
      if (within.includes(name)) return;
    }
  }

  private count(name: string): number {
    return this.open.get(name) ?? 0;
  }

  private closeElement(name: string): void {
    if (this.deepCount > 0) {
      const deep = this.deep.get(name) ?? 0;
      if (deep > 0) {
        this.deep.set(name, deep - 1);
        this.deepCount--;
        if (BLOCKS.has(name)) this.flush();
        return;
      }
    }
    if (name === "br" || name === "p") {
      if (this.count(name) === 0) {
        this.flush();
        return;
      }
    }
    if (this.count(name) === 0) return;
    const block = BLOCKS.has(name);
    const cell = name !== "table" && name !== "body" && name !== "html";
    for (let i = this.stack.length - 1; i > 0; i--) {
      const entry = this.stack[i];
      if (entry.name === name) {
        if (!block && this.stack.slice(i + 1).some((inner) => inner.block)) this.remove(i);
        else while (this.stack.length > i) this.pop();
        return;
      }
      // A closing tag inside a cell does not close what is outside its table.
      if (
        cell &&
        (entry.name === "td" || entry.name === "th") &&
        name !== "tr" &&
        !/^t(?:head|body|foot)$/.test(name)
      )
        return;
    }
  }

  /** Takes an inline element out from around blocks that were opened inside it. */
  private remove(index: number): void {
    const [{ name, link }] = this.stack.splice(index, 1);
    this.open.set(name, this.count(name) - 1);
    if (!link || this.stack[index - 1].link) return;
    for (const entry of this.stack.slice(index)) entry.link = false;
  }

  private pop(): void {
    const { top: entry } = this;
    if (entry.block) this.flush();
    this.stack.pop();
    this.open.set(entry.name, this.count(entry.name) - 1);
    if (entry.name === "svg" || entry.name === "math") this.foreign--;
    if (entry.name === "title" && this.title !== undefined) this.titleDone = true;
    if (entry.name === "tr" && entry.row !== undefined) this.endRow(entry.row, entry);
  }

  private lineBreak(): void {
    if (this.top.dropped) return;
    // Two breaks in a row are how old pages begin a paragraph.
    if (this.broken && !this.top.pre) this.flush();
    else this.text.push(BREAK);
    this.broken = true;
  }

  /** Ends the block that is being gathered. */
  private flush(): void {
    this.broken = false;
    if (this.text.length === 0) return;
    const raw = this.text.join("");
    const { top, linked } = this;
    this.text = [];
    this.linked = 0;
    const text = top.pre
      ? raw
          .replaceAll(BREAK, "\n")
          .replace(/\r\n?/g, "\n")
          .replace(/^\n|\s+$/g, "")
      : collapse(raw);
    if (text.trim() === "") return;
    const { site, suspect, main, form, item } = top;
    const common = { linked: Math.min(linked, text.length), site, suspect, main, form };
    if (top.heading > 0 && !top.pre) {
      this.emit({ ...common, kind: "heading", text, group: 0, level: top.heading });
    } else if (top.pre) {
      this.emit({ ...common, kind: "code", text, group: 0, level: 0 });
    } else if (item !== undefined) {
      // The mark stands before the item's first text only.
      this.emit({ ...common, kind: "item", text: item.mark + text, group: top.list?.group ?? 0, level: 0 });
      item.mark = item.mark.replace(/\S/g, " ");
    } else {
      this.emit({ ...common, kind: "paragraph", text, group: 0, level: 0 });
    }
  }

  /** Hands a finished block to the row that it is in, or to the page. */
  private emit(block: Block): void {
    const { row } = this.top;
    if (row === undefined || row.cells === 0) {
      this.blocks.push(block);
      return;
    }
    const again = row.blocks.some(({ cell }) => cell === row.cells);
    if (again || block.kind === "code" || block.text.length > MAX_CELL) row.simple = false;
    row.blocks.push({ cell: row.cells, block });
  }

  /** A row of data becomes one block; any other gives its cells' blocks one by one. */
  private endRow(row: Row, { table, site, suspect, main, form }: Entry): void {
    const into = (block: Block) => {
      if (row.outer === undefined) this.blocks.push(block);
      else {
        row.outer.simple = false;
        row.outer.blocks.push({ cell: row.outer.cells, block });
      }
    };
    if (row.blocks.length === 0) return;
    if (!row.simple) {
      for (const { block } of row.blocks) into(block);
      return;
    }
    into({
      kind: "row",
      text: row.blocks.map(({ block }) => block.text.trim().replaceAll("\n", " ")).join(" | "),
      linked: row.blocks.reduce((sum, { block }) => sum + block.linked, 0),
      site,
      suspect,
      main,
      form,
      group: table,
      level: row.cells,
    });
  }
}

/** White space that is not one plain space: only that is replaced, since nearly all of it is. */
const SPACES = /[\t\n\r\f\v\u00a0][ \t\n\r\f\v\u00a0]*| [ \t\n\r\f\v\u00a0]+/g;

/** Text with its white space as a browser shows it: runs become one space, line breaks stay. */
function collapse(raw: string): string {
  const spaced = raw.replace(SPACES, " ").replace(/[\u00ad\u200b]/g, "");
  return (spaced.includes(BREAK) ? spaced.replace(/ ?\u2028 ?/g, "\n") : spaced).trim();
}
