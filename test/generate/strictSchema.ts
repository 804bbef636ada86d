import { CiliumClusterwideNetworkPolicy } from "@kubernetes-models/cilium/cilium.io/v2/CiliumClusterwideNetworkPolicy";
import { CiliumNetworkPolicy } from "@kubernetes-models/cilium/cilium.io/v2/CiliumNetworkPolicy";
import { NetworkPolicy } from "kubernetes-models/networking.k8s.io/v1/NetworkPolicy";

/*
 * The schemas are those of the packages kubernetes-models 5.1.0 (made from Kubernetes' own OpenAPI document, by its contents that of
 * 1.36) and @kubernetes-models/cilium 4.0.0 (made from the Go types and markers that the CRDs of Cilium 1.19 are made from; metadata is
 * Kubernetes' ObjectMeta there). They come as compiled validators that look at every field they know and at no other. So a field that
 * the validator never looked at is an unknown one, in parts put together with allOf too.
 *
 * Not checked is what the schemas leave to code: rules between fields in the API server and in Cilium's agent, and the form of names.
 * Of metadata.managedFields, which only servers write, the free form of fieldsV1 counts as unknown.
 */

const KINDS: readonly { readonly apiVersion: string; readonly kind: string; readonly prototype: { validate(): void } }[] = [
  { apiVersion: "networking.k8s.io/v1", kind: "NetworkPolicy", prototype: NetworkPolicy.prototype },
  { apiVersion: "cilium.io/v2", kind: "CiliumNetworkPolicy", prototype: CiliumNetworkPolicy.prototype },
  { apiVersion: "cilium.io/v2", kind: "CiliumClusterwideNetworkPolicy", prototype: CiliumClusterwideNetworkPolicy.prototype },
];

/** Fields that a CRD has and its package's validator has lost: there, a property called `description` was taken for a description. */
const LOST_TEXTS: Readonly<Record<string, RegExp>> = {
  "cilium.io/v2": /^\/(spec|specs\/\d+)\/description$/,
};

/** Formats that a CRD names and the API server, which ignores those it does not know, does not check. */
const IGNORED_FORMATS = ["idn-hostname"];

/** What validators made by ajv say of one fault. */
interface SchemaError {
  /** A JSON pointer. */
  readonly instancePath: string;
  readonly keyword: string;
  readonly message?: string;
  readonly params: { readonly allowedValues?: readonly unknown[]; readonly format?: string };
}

/** Returns what is wrong with an object by its kind's schema, unknown fields of any depth among it, as lines `path: message`. */
export function schemaFaults(object: unknown): string[] {
  const sent = asSent(object);
  const { apiVersion, kind } = (sent ?? {}) as { apiVersion?: unknown; kind?: unknown };
  const known = KINDS.find((each) => each.apiVersion === apiVersion && each.kind === kind);
  if (!known) throw new Error(`no schema of ${apiVersion} ${kind}`);

  const seen: FieldsSeen = new Map();
  const errors = errorsOf(known.prototype, watched(sent, seen)).filter(({ params }) => !IGNORED_FORMATS.includes(params.format ?? ""));
  const mistyped = new Set(errors.filter(({ keyword }) => keyword === "type").map(({ instancePath }) => instancePath));
  const faults = errors.map((error) => faultLine(error.instancePath, messageOf(error)));
  for (const { pointer, value } of unseenFields(sent, seen, mistyped)) {
    if (!LOST_TEXTS[known.apiVersion]?.test(pointer)) faults.push(faultLine(pointer, "unknown field"));
    else if (typeof value !== "string") faults.push(faultLine(pointer, "must be string"));
  }
  return [...new Set(faults)];
}

/** Returns a copy as the API server would get it: no undefined fields, and no object in two places. */
function asSent(object: unknown): unknown {
  const text: string | undefined = JSON.stringify(object);
  return text === undefined ? undefined : JSON.parse(text);
}

/** The fields looked at, by object. */
type FieldsSeen = Map<object, Set<string>>;

const isContainer = (value: unknown): value is Record<string, unknown> => typeof value === "object" && value !== null;

/** Returns a value that notes which fields of which objects in it are looked at. */
function watched(value: unknown, seen: FieldsSeen): unknown {
  if (!isContainer(value)) return value;
  const fields = seen.get(value) ?? new Set();
  seen.set(value, fields);
  return new Proxy(value, {
    get(target, field) {
      if (typeof field === "string") fields.add(field);
      return watched(Reflect.get(target, field), seen);
    },
  });
}

function errorsOf(prototype: { validate(): void }, object: unknown): readonly SchemaError[] {
  try {
    Reflect.apply(prototype.validate, object, []);
    return [];
  } catch (error) {
    if (error instanceof Error && "errors" in error) return error.errors as SchemaError[];
    throw error;
  }
}

/** Yields the fields not looked at, not those below one; nor those of an object where something else should be. */
function* unseenFields(
  value: unknown,
  seen: FieldsSeen,
  mistyped: ReadonlySet<string>,
  pointer = "",
): Generator<{ pointer: string; value: unknown }> {
  if (!isContainer(value) || mistyped.has(pointer)) return;
  for (const [field, child] of Object.entries(value)) {
    const below = `${pointer}/${field.replaceAll("~", "~0").replaceAll("/", "~1")}`;
    if (seen.get(value)?.has(field)) yield* unseenFields(child, seen, mistyped, below);
    else yield { pointer: below, value: child };
  }
}

const messageOf = ({ keyword, message = keyword, params: { allowedValues } }: SchemaError): string =>
  allowedValues ? `${message}: ${allowedValues.join(", ")}` : message;

/** Writes `/spec/ingress/0/from` as `spec.ingress[0].from`. */
function faultLine(pointer: string, message: string): string {
  const fields = pointer.split("/").slice(1);
  const path = fields.map((field) => (/^\d+$/.test(field) ? `[${field}]` : `.${field.replaceAll("~1", "/").replaceAll("~0", "~")}`));
  return `${path.join("").replace(/^\./, "") || "(the object)"}: ${message}`;
}
