/** What the cutting of web pages into blocks works with: blocks, open elements, and which elements end which. */

/** A piece of text that stands by itself. */
export interface Block {
  kind: "paragraph" | "heading" | "item" | "row" | "code";
  text: string;
  /** Characters of the text that are in links. */
  linked: number;
  /** In navigation, a margin, a header or footer of the site. */
  site: boolean;
  /** In an element whose class or id sounds like such. */
  suspect: boolean;
  /** In an element for the main text; 0, or the number of the outermost one. */
  main: number;
  /** In a form; 0, or its number. */
  form: number;
  /** In a list or table; 0, or its number. Blocks of one group are lines of one text. */
  group: number;
  /** Of a heading 1 to 6; of a row its number of cells. */
  level: number;
}

/** What a page says beside its blocks. */
export interface Page {
  blocks: Block[];
  title?: string;
  /** The `lang` of the page. */
  language?: string;
}

/** An open element with what it hands down to those inside. */
export interface Entry {
  name: string;
  block: boolean;
  dropped: boolean;
  site: boolean;
  suspect: boolean;
  main: number;
  form: number;
  link: boolean;
  pre: boolean;
  /** Level of the heading around, or 0. */
  heading: number;
  /** Mark of the list item around that is due before its first text. */
  item: { mark: string } | undefined;
  /** Numbering of the list around. */
  list: { ordered: boolean; next: number; depth: number; group: number } | undefined;
  row: Row | undefined;
  table: number;
}

/** A table row whose cells are being gathered. */
export interface Row {
  outer: Row | undefined;
  blocks: { cell: number; block: Block }[];
  cells: number;
  /** Whether it still looks like data: one short text a cell. */
  simple: boolean;
}

/** What everything is in. */
export const ROOT: Entry = {
  name: "",
  block: true,
  dropped: false,
  site: false,
  suspect: false,
  main: 0,
  form: 0,
  link: false,
  pre: false,
  heading: 0,
  item: undefined,
  list: undefined,
  row: undefined,
  table: 0,
};

/** What an opening tag ends: the names that it closes, and those that it does not look beyond. */
export const CLOSES: Readonly<Record<string, { ends: readonly string[]; within: readonly string[] }>> = {
  li: { ends: ["li"], within: ["ul", "ol", "menu", "dir", "table"] },
  dt: { ends: ["dt", "dd"], within: ["dl", "table"] },
  dd: { ends: ["dt", "dd"], within: ["dl", "table"] },
  td: { ends: ["td", "th"], within: ["tr", "table"] },
  th: { ends: ["td", "th"], within: ["tr", "table"] },
  tr: { ends: ["tr"], within: ["table"] },
  thead: { ends: ["thead", "tbody", "tfoot"], within: ["table"] },
  tbody: { ends: ["thead", "tbody", "tfoot"], within: ["table"] },
  tfoot: { ends: ["thead", "tbody", "tfoot"], within: ["table"] },
};
