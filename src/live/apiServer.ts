import { setTimeout as pause } from "node:timers/promises";
import { apiGroup } from "../cluster/objects.ts";
import { type Answer, nameOf, type Request, type Server, send, textOf } from "./http.ts";
import { LiveError } from "./liveError.ts";

/** A kind as the API server serves it. */
export interface ServedKind {
  readonly apiVersion: string;
  readonly kind: string;
  /** The name in paths and in RBAC rules: `networkpolicies`. */
  readonly resource: string;
  readonly isNamespaced: boolean;
}

type Fields = Record<string, unknown>;

/** Objects a page: small enough that no request takes long, large enough that 5,000 pods take ten. */
const PAGE = 500;
const MOST_PAGE_BYTES = 512e6;
/** Etcd holds no more of a kind by far. */
const MOST_OBJECTS = 2e6;
const RETRIES = 3;
const FIRST_PAUSE_MS = 250;
const MOST_TEXT_BYTES = 64e6;
/** The group of each listed kind counts as one request; more at once would be throttled by the server's fairness rules. */
const DISCOVERY = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json";

/** Returns the path of a kind's objects: of all namespaces, or of one; or of one object. */
export function pathOf({ apiVersion, resource }: ServedKind, namespace?: string, name?: string): string {
  const root = apiVersion.includes("/") ? `/apis/${apiVersion}` : `/api/${apiVersion}`;
  const within = namespace === undefined ? "" : `/namespaces/${encodeURIComponent(namespace)}`;
  return `${root}${within}/${resource}${name === undefined ? "" : `/${encodeURIComponent(name)}`}`;
}

/** Returns a kind as RBAC rules and messages of the API server write it: `networkpolicies.networking.k8s.io`. */
export function resourceName({ apiVersion, resource }: ServedKind): string {
  const group = apiGroup(apiVersion);
  return group === "" ? resource : `${resource}.${group}`;
}

/**
 * Talks to a Kubernetes API server in plain objects: client-node's typed models rename fields (`from` becomes `_from`) and drop on
 * writing what they do not know. Every failure is a LiveError.
 */
export class ApiServer {
  readonly server: Server;
  /** The user of the kubeconfig, for messages. */
  readonly user: string;

  constructor(server: Server, user: string) {
    this.server = server;
    this.user = user;
  }

  get name(): string {
    return nameOf(this.server.url);
  }

  /** Returns an object, or undefined where there is none. */
  async get(path: string): Promise<Fields | undefined> {
    const { status, value } = await this.#ask({ method: "GET", path }, "get");
    return status === 404 ? undefined : value;
  }

  /** Returns all objects of a kind, page by page. A list that the server forgot meanwhile is begun again. */
  async list(kind: ServedKind, namespace?: string, visit?: (object: Fields) => Fields | undefined): Promise<Fields[]> {
    for (let attempt = 0; ; attempt++) {
      try {
        return await this.#listOnce(kind, namespace, visit);
      } catch (error) {
        // 410: the snapshot that the pages come from is gone (API concepts: "Retrieving large results sets in chunks").
        if (attempt === 2 || !(error instanceof LiveError) || error.status !== 410) throw error;
      }
    }
  }

  async #listOnce(
    kind: ServedKind,
    namespace: string | undefined,
    visit: ((object: Fields) => Fields | undefined) | undefined,
  ): Promise<Fields[]> {
    const objects: Fields[] = [];
    for (let next = ""; ; ) {
      const query = `limit=${PAGE}${next === "" ? "" : `&continue=${encodeURIComponent(next)}`}`;
      const { status, value } = await this.#ask(
        { method: "GET", path: `${pathOf(kind, namespace)}?${query}` },
        `list ${resourceName(kind)}`,
        MOST_PAGE_BYTES,
      );
      if (status === 404) throw new LiveError("not-found", `${this.name} does not serve ${resourceName(kind)}`, 404);
      const { items, metadata } = value;
      // Servers in Go write an empty list as null where they do not take care.
      if (!Array.isArray(items) && items !== null) throw this.#stranger(`a list of ${kind.resource} without items`);
      for (const item of items ?? []) {
        // Items of typed lists carry neither.
        const object = { ...(item as Fields), apiVersion: kind.apiVersion, kind: kind.kind };
        const kept = visit === undefined ? object : visit(object);
        if (kept !== undefined) objects.push(kept);
      }
      const after = (metadata as Fields | undefined)?.continue;
      if (typeof after !== "string" || after === "") return objects;
      if (after === next || objects.length > MOST_OBJECTS) throw this.#stranger(`a list of ${kind.resource} that does not end`);
      next = after;
    }
  }

  /** Applies an object server-side (API concepts: "Server Side Apply"); returns it as it is then, or would be, and whether it is new. */
  async apply(
    kind: ServedKind,
    object: Fields,
    options: { readonly dryRun: boolean; readonly fieldManager: string; readonly force?: boolean },
  ): Promise<{ readonly object: Fields; readonly isNew: boolean }> {
    const { namespace, name } = object.metadata as { namespace?: string; name: string };
    const query = new URLSearchParams({
      fieldManager: options.fieldManager,
      // A field that the server does not know would be dropped in silence, and a policy without a field may allow everything.
      fieldValidation: "Strict",
      ...(options.force === true ? { force: "true" } : {}),
      ...(options.dryRun ? { dryRun: "All" } : {}),
    });
    const path = `${pathOf(kind, namespace, name)}?${query}`;
    const headers = { "content-type": "application/apply-patch+yaml" };
    const { status, value } = await this.#ask(
      { method: "PATCH", path, body: JSON.stringify(object), headers },
      `patch ${resourceName(kind)}`,
    );
    if (status === 404) throw new LiveError("not-found", `${this.name}: ${messageOf(value) ?? "no such object or namespace"}`, 404);
    return { object: value, isNew: status === 201 };
  }

  /** Deletes an object in the state that is given, and in no other; that it is gone already is as good. */
  async delete(
    kind: ServedKind,
    namespace: string | undefined,
    name: string,
    { uid, resourceVersion }: { readonly uid?: string; readonly resourceVersion?: string },
  ): Promise<void> {
    const body = JSON.stringify({ apiVersion: "v1", kind: "DeleteOptions", preconditions: { uid, resourceVersion } });
    const headers = { "content-type": "application/json" };
    await this.#ask({ method: "DELETE", path: pathOf(kind, namespace, name), headers, body }, `delete ${resourceName(kind)}`);
  }

  /** Reports whether the user may do something (API: SelfSubjectAccessReview). A server that does not say is taken for a yes. */
  async may(verb: string, kind: ServedKind, namespace: string | undefined, name: string): Promise<boolean> {
    const review = {
      apiVersion: "authorization.k8s.io/v1",
      kind: "SelfSubjectAccessReview",
      spec: {
        resourceAttributes: {
          verb,
          group: apiGroup(kind.apiVersion),
          resource: kind.resource,
          name,
          ...(namespace === undefined ? {} : { namespace }),
        },
      },
    };
    const path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
    const headers = { "content-type": "application/json" };
    try {
      const { value } = await this.#ask({ method: "POST", path, headers, body: JSON.stringify(review) }, "ask for rights");
      return (value.status as Fields | undefined)?.allowed !== false;
    } catch (error) {
      if (error instanceof LiveError && error.code === "forbidden") return true;
      throw error;
    }
  }

  /**
   * Returns every kind that the server serves, with the versions that it has of each, preferred ones first. `unknown` is told of groups
   * with their versions whose own server does not say now what it serves.
   */
  async kinds(unknown: (apiVersion: string) => void = () => {}): Promise<ServedKind[]> {
    const { status, value } = await this.#ask(
      { method: "GET", path: "/apis", headers: { accept: DISCOVERY } },
      "get /apis",
      MOST_TEXT_BYTES,
    );
    if (status === 404) throw this.#stranger("it has no /apis");
    if (value.kind === "APIGroupDiscoveryList") return aggregatedKinds(value, unknown);
    return await this.#listedKinds(value, unknown);
  }

  /** Servers before 1.26 list groups, and the kinds of each group and version apart. */
  async #listedKinds({ groups }: Fields, unknown: (apiVersion: string) => void): Promise<ServedKind[]> {
    if (!Array.isArray(groups)) throw this.#stranger("/apis gives no groups");
    const versions = groups.flatMap((group) =>
      listIn(group, "versions")
        .map((version) => (version as Fields).groupVersion)
        .filter((text) => typeof text === "string"),
    );
    const found: ServedKind[] = [];
    for (const apiVersion of versions) {
      // A group whose own server is down must not take the rest with it.
      const resources = await this.get(`/apis/${apiVersion}`).catch((error: unknown) => {
        if (!(error instanceof LiveError) || (error.status ?? 0) < 500) throw error;
        unknown(apiVersion);
        return undefined;
      });
      for (const resource of listIn(resources, "resources")) {
        const { name, kind, namespaced } = resource as Fields;
        if (typeof name === "string" && typeof kind === "string" && !name.includes("/"))
          found.push({ apiVersion, kind, resource: name, isNamespaced: namespaced === true });
      }
    }
    return found;
  }

  /** Sends a request and returns the JSON of its answer; statuses other than 2xx and 404 are errors. */
  async #ask(request: Request, verb: string, mostBytes = MOST_TEXT_BYTES): Promise<{ readonly status: number; readonly value: Fields }> {
    for (let retry = 0; ; retry++) {
      try {
        return await this.#askOnce(request, verb, mostBytes);
      } catch (error) {
        if (!(error instanceof LiveError) || retry === RETRIES) throw error;
        // 429: the server asks to wait, and has done nothing. A kept connection may have been closed meanwhile: reading does no harm.
        const isPassing = error.status === 429 || (request.method === "GET" && error.code === "reset");
        if (!isPassing) throw error;
        await pause(FIRST_PAUSE_MS * 2 ** retry);
      }
    }
  }

  async #askOnce(request: Request, verb: string, mostBytes: number): Promise<{ readonly status: number; readonly value: Fields }> {
    const answer = await this.#send(request);
    const text = await textOf(answer, mostBytes);
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch {
      value = undefined;
    }
    const fields = typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Fields) : undefined;
    const { status } = answer;
    if (status >= 200 && status < 300 && fields !== undefined) return { status, value: fields };
    // Its own 404 is a Status object; a stranger's is some page.
    if (status === 404 && fields !== undefined) return { status, value: fields };
    throw this.#failure(status, fields, verb);
  }

  async #send(request: Request): Promise<Answer> {
    const { pathname } = this.server.url;
    return await send(this.server, { ...request, path: `${pathname.replace(/\/$/, "")}${request.path}` });
  }

  #failure(status: number, value: Fields | undefined, verb: string): LiveError {
    const message = messageOf(value);
    if (status === 401)
      return new LiveError(
        "unauthorized",
        `${this.name} refuses the credentials of user \`${this.user}\`: log in again, or choose another --context`,
        401,
      );
    if (status === 403)
      return new LiveError("forbidden", `user \`${this.user}\` may not ${verb}${message === undefined ? "" : ` (${message})`}`, 403);
    if (value === undefined && status < 300) return this.#stranger("it does not answer in JSON");
    if (value === undefined && status === 404) return this.#stranger("it answers with a page of another kind");
    const code = status === 409 || status === 422 || status === 400 ? "conflict" : "status";
    return new LiveError(code, `${this.name}: ${message ?? `status ${status}`}`, status);
  }

  #stranger(why: string): LiveError {
    return new LiveError(
      "wrong-service",
      `what answers at ${this.name} is no Kubernetes API server: ${why}; check the kubeconfig's server`,
    );
  }
}

/** The message of a Status object, on one line. */
function messageOf(value: Fields | undefined): string | undefined {
  return typeof value?.message === "string" && value.message !== "" ? value.message.replace(/\s+/g, " ").slice(0, 1000) : undefined;
}

function listIn(value: unknown, key: string): readonly unknown[] {
  const list = typeof value === "object" && value !== null ? (value as Fields)[key] : undefined;
  return Array.isArray(list) ? list.filter((item) => typeof item === "object" && item !== null) : [];
}

function aggregatedKinds(value: Fields, unknown: (apiVersion: string) => void): ServedKind[] {
  const found: ServedKind[] = [];
  for (const group of listIn(value, "items")) {
    const name = ((group as Fields).metadata as Fields | undefined)?.name;
    for (const version of listIn(group, "versions")) {
      const apiVersion = `${name}/${(version as Fields).version}`;
      // Of a group whose server is down the API server may remember what it served.
      const entries = listIn(version, "resources");
      if (entries.length === 0 && (version as Fields).freshness === "Stale") unknown(apiVersion);
      for (const entry of entries) {
        const { resource, responseKind, scope } = entry as Fields;
        const kind = (responseKind as Fields | undefined)?.kind;
        if (typeof resource === "string" && typeof kind === "string")
          found.push({ apiVersion, kind, resource, isNamespaced: scope === "Namespaced" });
      }
    }
  }
  return found;
}
