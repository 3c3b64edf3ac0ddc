/** From a record with named fields (JSON lines, CSV, parquet) to a document. */
import { didYouMean } from "../../errors.js";
import { damaged, type ReaderSettings, type TextDocument } from "./reader.js";

/** Where a record stands, for its document and for messages. */
export interface RecordPlace {
  path: string;
  /** As in `TextDocument.source`. */
  source: string;
  /** Byte at which it begins. */
  offset: number;
  /** For messages, for example `corpus.jsonl, line 3`. */
  where: string;
}

const kindOf = (value: unknown): string =>
  value === null
    ? "null"
    : Array.isArray(value)
      ? "a list"
      : typeof value === "object"
        ? "an object"
        : typeof value;

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/**
 * The document of a record. An object in the field `metadata` is taken apart, so that a document written as a record is
 * read back as it was; a `url` in it serves when the record has none of its own.
 * @throws DataError (damage) when no text field is there, or one is not a string.
 */
export function documentOf(
  record: Record<string, unknown>,
  settings: ReaderSettings,
  place: RecordPlace,
): TextDocument {
  // Whoever asks for no text wants the record as it is.
  if (settings.textFields.length === 0) return { text: "", source: place.source, metadata: record };
  const document: TextDocument = { text: textOf(record, settings.textFields, place), source: place.source };
  const id = record[settings.idField];
  const named = typeof id === "string" || typeof id === "number";
  if (named) document.id = String(id);
  const url = record[settings.urlField];
  if (typeof url === "string") document.url = url;
  const inner = isObject(record.metadata) ? record.metadata : undefined;
  if (document.url === undefined && typeof inner?.[settings.urlField] === "string") {
    document.url = inner[settings.urlField] as string;
  }
  if (!settings.metadata) return document;
  const metadata: Record<string, unknown> = { ...inner };
  for (const field of Object.keys(record)) {
    const taken =
      settings.textFields.includes(field) ||
      (field === settings.idField && (named || id === null)) ||
      (field === settings.urlField && (typeof url === "string" || url === null)) ||
      (field === "metadata" && inner !== undefined);
    if (!taken && record[field] !== undefined) define(metadata, field, record[field]);
  }
  if (typeof url !== "string" && document.url !== undefined) delete metadata[settings.urlField];
  if (Object.keys(metadata).length > 0) document.metadata = metadata;
  return document;
}

/** Sets a field as data, whatever its name is: plain assignment to `__proto__` would change the object's nature. */
function define(target: Record<string, unknown>, field: string, value: unknown): void {
  if (field === "__proto__") {
    Object.defineProperty(target, field, { value, writable: true, enumerable: true, configurable: true });
  } else {
    target[field] = value;
  }
}

function textOf(record: Record<string, unknown>, fields: readonly string[], place: RecordPlace): string {
  const { path, source, offset, where } = place;
  if (fields.length === 1 && typeof record[fields[0]] === "string") return record[fields[0]] as string;
  const parts: string[] = [];
  let found = false;
  for (const field of fields) {
    const value = Object.hasOwn(record, field) ? record[field] : undefined;
    if (value === undefined || (value === null && fields.length > 1)) continue;
    if (typeof value !== "string") {
      throw damaged(`${where}: the field "${field}" must be a string, got ${kindOf(value)}.`, {
        path,
        source,
        offset,
        field,
      });
    }
    found = true;
    if (value !== "") parts.push(value);
  }
  if (found) return parts.join("\n\n");
  const names = Object.keys(record);
  const wanted = fields.map((field) => `"${field}"`).join(", ");
  throw damaged(
    `${where}: the record has no field ${wanted}, it has ${names.map((name) => `"${name}"`).join(", ") || "none"}. ` +
      `Name the text's field with the option textField.${didYouMean(fields[0], names)}`,
    { path, source, offset, field: fields[0], fields: names },
  );
}
