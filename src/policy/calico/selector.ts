import { NAMESPACE_NAME } from "../../cluster/objects.ts";
import { matchesRequirement } from "../../cluster/selector.ts";
import type { Expression } from "../model.ts";
import { type SelectorError, type Token, tokenizeSelector } from "./tokens.ts";

/** True of everything, and of nothing. */
export const ALWAYS: Expression = { op: "all", terms: [] };
export const NEVER: Expression = { op: "some", terms: [] };

/** What `global()` says: an object that is in no namespace. */
export const IN_NO_NAMESPACE: Expression = {
  op: "test",
  of: "namespace",
  requirement: { key: NAMESPACE_NAME, operator: "DoesNotExist", values: [] },
};

/** How deep parentheses are read: more than fit into the 1024 characters that the CRD allows. */
const MAX_DEPTH = 512;

/**
 * Returns what a text in Calico's selector language says, as written: every label is one of the object itself. `&&` binds tighter
 * than `||`, `!` to one operand; an empty text is `all()`. What libcalico-go's parser refuses is refused.
 */
export function parseSelector(text: string): { readonly expression: Expression } | SelectorError {
  const tokens = tokenizeSelector(text);
  if ("error" in tokens) return tokens;
  if (tokens[0].kind === "end") return { expression: ALWAYS };
  try {
    return { expression: new Parser(tokens).parse() };
  } catch (error) {
    if (error instanceof Refusal) return { error: error.message, offset: error.offset };
    throw error;
  }
}

class Refusal extends Error {
  readonly offset: number;

  constructor(message: string, offset: number) {
    super(message);
    this.offset = offset;
  }
}

class Parser {
  readonly #tokens: readonly Token[];
  #at = 0;
  #depth = 0;

  constructor(tokens: readonly Token[]) {
    this.#tokens = tokens;
  }

  parse(): Expression {
    const expression = this.#parseList("||");
    const rest = this.#next();
    return rest.kind === "end" ? expression : refuse("expected `&&`, `||` or the end", rest);
  }

  #next(): Token {
    // The last token is `end`, which stays.
    return this.#tokens[Math.min(this.#at++, this.#tokens.length - 1)];
  }

  #isNext(kind: Token["kind"]): boolean {
    if (this.#tokens[this.#at]?.kind !== kind) return false;
    this.#at += 1;
    return true;
  }

  #parseList(between: "||" | "&&"): Expression {
    const parseOne = () => (between === "||" ? this.#parseList("&&") : this.#parseOperand());
    const terms = [parseOne()];
    while (this.#isNext(between)) terms.push(parseOne());
    return terms.length === 1 ? terms[0] : { op: between === "||" ? "some" : "all", terms };
  }

  #parseOperand(): Expression {
    let negated = false;
    while (this.#isNext("!")) negated = !negated;
    const term = this.#parsePlain();
    return negated ? { op: "not", term } : term;
  }

  #parsePlain(): Expression {
    const token = this.#next();
    switch (token.kind) {
      case "all()":
        return ALWAYS;
      case "global()":
        return IN_NO_NAMESPACE;
      case "has":
        return testOf(token.text, "Exists", []);
      case "label":
        return this.#parseComparison(token.text);
      case "(": {
        this.#depth += 1;
        if (this.#depth > MAX_DEPTH) refuse(`parentheses nested deeper than ${MAX_DEPTH}`, token);
        const inner = this.#parseList("||");
        const end = this.#next();
        this.#depth -= 1;
        return end.kind === ")" ? inner : refuse("expected `)`", end);
      }
      default:
        return refuse("expected a label, `has(`, `all()`, `!` or `(`", token);
    }
  }

  #parseComparison(key: string): Expression {
    const operator = this.#next();
    switch (operator.kind) {
      case "==":
        return testOf(key, "In", [this.#parseText()]);
      case "!=":
        return testOf(key, "NotIn", [this.#parseText()]);
      case "in":
        return testOf(key, "In", this.#parseSet());
      case "not in":
        return testOf(key, "NotIn", this.#parseSet());
      case "contains":
        return { op: "text", of: "own", key, how: "contains", text: this.#parseText() };
      case "starts with":
        return { op: "text", of: "own", key, how: "starts", text: this.#parseText() };
      case "ends with":
        return { op: "text", of: "own", key, how: "ends", text: this.#parseText() };
      default:
        return refuse("expected an operator behind the label", operator);
    }
  }

  #parseText(): string {
    const token = this.#next();
    return token.kind === "string" ? token.text : refuse("expected a text in quotes", token);
  }

  #parseSet(): string[] {
    const open = this.#next();
    if (open.kind !== "{") refuse("expected a set, such as `{'a', 'b'}`", open);
    const values: string[] = [];
    for (let token = this.#next(); ; token = this.#next()) {
      if (token.kind === "}") return values;
      if (token.kind !== "string") refuse("expected `}`", token);
      else values.push(token.text);
      if (this.#isNext(",")) continue;
      const end = this.#next();
      return end.kind === "}" ? values : refuse("expected `}`", end);
    }
  }
}

function testOf(key: string, operator: "In" | "NotIn" | "Exists", values: readonly string[]): Expression {
  return { op: "test", of: "own", requirement: { key, operator, values } };
}

function refuse(message: string, { offset }: Token): never {
  throw new Refusal(message, offset);
}

/** Reports whether an object with these labels, in no namespace and without a service account, is selected. */
export function selectsLabels(expression: Expression, labels: Readonly<Record<string, string>>): boolean {
  switch (expression.op) {
    case "test":
      return matchesRequirement(expression.requirement, expression.of === "own" ? labels : {});
    case "text":
      return (
        expression.of === "own" &&
        Object.hasOwn(labels, expression.key) &&
        matchesText(expression.how, labels[expression.key], expression.text)
      );
    case "not":
      return !selectsLabels(expression.term, labels);
    case "all":
      return expression.terms.every((term) => selectsLabels(term, labels));
    case "some":
      return expression.terms.some((term) => selectsLabels(term, labels));
  }
}

function matchesText(how: "contains" | "starts" | "ends", value: string, text: string): boolean {
  if (how === "contains") return value.includes(text);
  return how === "starts" ? value.startsWith(text) : value.endsWith(text);
}

/** How the key of a test is written. */
export type KeyText = (test: Extract<Expression, { readonly op: "test" | "text" }>) => string;

/**
 * Returns a text that parses to the expression, if its labels are the object's own; `keyText` writes labels of others. Throws for
 * a value that no quotes can hold: the language has no escapes.
 */
export function formatSelector(expression: Expression, keyText: KeyText = keyOfOwn): string {
  const format = (term: Expression) => formatSelector(term, keyText);
  switch (expression.op) {
    case "test":
      return formatTest(expression, keyText);
    case "text": {
      const how = expression.how === "contains" ? "contains" : `${expression.how} with`;
      return `${keyText(expression)} ${how} ${quoted(expression.text)}`;
    }
    case "not":
      return `!${isList(expression.term) || expression.term.op === "not" ? `(${format(expression.term)})` : format(expression.term)}`;
    case "all":
    case "some": {
      const { op, terms } = expression;
      if (terms.length === 0) return op === "all" ? "all()" : "!all()";
      if (terms.length === 1) return format(terms[0]);
      // `&&` binds tighter, so that only its terms need parentheses, and those that would melt into the list around them.
      const inParentheses = (term: Expression) => isList(term) && (op === "all" || term.op === "some");
      return terms.map((term) => (inParentheses(term) ? `(${format(term)})` : format(term))).join(op === "all" ? " && " : " || ");
    }
  }
}

function formatTest(test: Extract<Expression, { readonly op: "test" }>, keyText: KeyText): string {
  const { operator, values } = test.requirement;
  if (keyText === keyOfOwn && test.of === "namespace" && operator === "DoesNotExist") return "global()";
  const key = keyText(test);
  if (operator === "Exists") return `has(${key})`;
  if (operator === "DoesNotExist") return `!has(${key})`;
  if (values.length === 1) return `${key} ${operator === "In" ? "==" : "!="} ${quoted(values[0])}`;
  return `${key} ${operator === "In" ? "in" : "not in"} {${values.map(quoted).join(", ")}}`;
}

function keyOfOwn(test: Extract<Expression, { readonly op: "test" | "text" }>): string {
  return test.op === "test" ? test.requirement.key : test.key;
}

function isList(expression: Expression): boolean {
  return (expression.op === "all" || expression.op === "some") && expression.terms.length > 0;
}

function quoted(value: string): string {
  if (!value.includes("'")) return `'${value}'`;
  if (!value.includes('"')) return `"${value}"`;
  throw new RangeError("a text with both kinds of quotes cannot be written in Calico's selector language");
}
