/** Writes counters into JavaScript: one for every block, case and branch of an expression, so that a fuzzer sees what ran. */
import { parseAst } from "vite";

/**
 * The module with calls of `__reached(n)`.
 * @param {string} source JavaScript, an ES module
 * @param {number} first number of the first counter
 * @returns {{ code: string, next: number }} `next` is the first number that is still free
 */
export function instrument(source, first) {
  /** @type {{ at: number, text: string }[]} */
  const insertions = [];
  let next = first;
  const statement = (at) => insertions.push({ at, text: `__reached(${next++});` });
  const expression = ({ start, end }) => {
    insertions.push({ at: start, text: `(__reached(${next++}),(` }, { at: end, text: "))" });
  };
  const visit = (node) => {
    if (node === null || typeof node !== "object") return;
    if (Array.isArray(node)) {
      node.forEach(visit);
      return;
    }
    if (typeof node.type !== "string") return;
    if (node.type === "BlockStatement") statement(node.start + 1);
    if (node.type === "SwitchCase" && node.consequent.length > 0) statement(node.consequent[0].start);
    if (node.type === "ConditionalExpression") {
      expression(node.consequent);
      expression(node.alternate);
    }
    if (node.type === "LogicalExpression") expression(node.right);
    for (const [key, value] of Object.entries(node)) if (key !== "parent") visit(value);
  };
  visit(parseAst(source));
  // At equal places what opens later lies further inside, and what closes comes before what opens.
  const order = insertions.map((insertion, index) => ({ ...insertion, index }));
  order.sort(
    (a, b) => a.at - b.at || (a.text === "))" ? -1 : 0) - (b.text === "))" ? -1 : 0) || a.index - b.index,
  );
  let code = "";
  let from = 0;
  for (const { at, text } of order) {
    code += source.slice(from, at) + text;
    from = at;
  }
  return { code: code + source.slice(from), next };
}
